#include "sidecar/transfer/message_properties.hpp"

#include "erlang_port/error.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <string_view>

namespace {

using hot_backup::without_headers;
using namespace std::string_literals;

// A row of a table: its name, the type's letter and the value's bytes.
std::string row(const std::string& name, const std::string& value) {
    return static_cast<char>(name.size()) + name + value;
}

std::string table(const std::string& rows) {
    return "\0\0\0"s + static_cast<char>(rows.size()) + rows;
}

const std::string every_type =
    row("V", "V") + row("t", "t\1") + row("b", "b\xFF") + row("B", "B\xFF") + row("s", "s\0\1"s) +
    row("u", "u\0\1"s) + row("I", "I\0\0\0\1"s) + row("i", "i\0\0\0\1"s) + row("f", "f\0\0\0\1"s) +
    row("D", "D\2\0\0\0\1"s) + row("l", "l\0\0\0\0\0\0\0\1"s) + row("L", "L\0\0\0\0\0\0\0\1"s) +
    row("d", "d\0\0\0\0\0\0\0\1"s) + row("T", "T\0\0\0\0\0\0\0\1"s) + row("S", "S\0\0\0\2hi"s) +
    row("x", "x\0\0\0\1\0"s) + row("A", "A\0\0\0\2t\1"s) + row("F", "F\0\0\0\3\1zV"s);
const std::string count_row = row("x-delivery-count", "l\0\0\0\0\0\0\0\3"s);

TEST_CASE("a header is taken out, and every other byte stays") {
    // content type, headers, delivery mode
    const auto with = [](const std::string& rows) { return "\xB0\0\3a/b"s + table(rows) + "\2"; };
    CHECK(without_headers(with(every_type + count_row), {"x-delivery-count"}) == with(every_type));
    CHECK(without_headers(with(count_row + every_type), {"x-delivery-count"}) == with(every_type));
    CHECK(without_headers(with(every_type), {"x-delivery-count"}) == with(every_type));
    CHECK(without_headers(with(every_type + count_row), {"other"}) == with(every_type + count_row));
}

TEST_CASE("a table that was made for the header goes with it") {
    CHECK(without_headers("\x30\0"s + table(count_row) + "\2", {"x-delivery-count"}) ==
          "\x10\0\2"s);
    // One that was empty stays.
    CHECK(without_headers("\x20\0"s + table(""), {"x-delivery-count"}) == "\x20\0"s + table(""));
}

TEST_CASE("properties without headers are not looked at") {
    CHECK(without_headers("\x10\0\2"s, {"x-delivery-count"}) == "\x10\0\2"s);
    CHECK(without_headers("\0\0"s, {"x-delivery-count"}) == "\0\0"s);
}

TEST_CASE("bytes that are no properties are refused, wherever they end") {
    const std::string whole = "\xA0\0\3a/b"s + table(every_type);
    for (std::size_t length = 0; length < whole.size(); ++length) {
        CAPTURE(length);
        CHECK_THROWS_AS(without_headers(whole.substr(0, length), {"x"}), hot_backup::Error);
    }
    CHECK_THROWS_AS(without_headers("\x20\0"s + table(row("q", "?")), {"x"}), hot_backup::Error);
}

}  // namespace
