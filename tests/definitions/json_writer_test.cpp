#include "sidecar/definitions/json_writer.hpp"

#include "erlang_port/error.hpp"

#include <catch2/catch.hpp>

#include <functional>
#include <limits>
#include <string>
#include <vector>

using namespace hot_backup;
using erlang::atom;
using erlang::binary;
using erlang::integer;
using erlang::list;
using erlang::map;
using erlang::Term;
using erlang::tuple;

namespace {

std::string written(const std::function<void(JsonWriter&)>& write) {
    std::string out;
    JsonWriter json(out);
    write(json);
    return out;
}

std::string json_of(const Term& term) {
    return written([&](JsonWriter& json) { json.term(term); });
}

}  // namespace

TEST_CASE("terms are written as RabbitMQ's encoders write them") {
    CHECK(json_of(atom("undefined")) == R"("undefined")");
    CHECK(json_of(atom("true")) == "true");
    CHECK(json_of(atom("false")) == "false");
    CHECK(json_of(atom("null")) == "null");
    CHECK(json_of(binary("true")) == R"("true")");
    CHECK(json_of(std::int64_t{-5}) == "-5");
    CHECK(json_of(std::numeric_limits<std::int64_t>::min()) == "-9223372036854775808");
    CHECK(json_of(integer(std::numeric_limits<std::uint64_t>::max())) == "18446744073709551615");
    CHECK(json_of(erlang::BigInteger{true, {0, 0, 0, 0, 0, 0, 0, 0, 1}}) ==
          "-18446744073709551616");
    CHECK(json_of(list({})) == "[]");
    CHECK(json_of(list({integer(1), atom("a"), binary("b")})) == R"([1,"a","b"])");
    CHECK(json_of(map({})) == "{}");
    CHECK(json_of(map({{"a", list({map({{"b", atom("null")}})})}})) == R"({"a":[{"b":null}]})");
    CHECK(json_of(list({tuple({binary("a"), integer(1)}), tuple({atom("b"), list({})})})) ==
          R"({"a":1,"b":[]})");
}

TEST_CASE("an empty property list is an object where one is wanted") {
    const auto object_of = [](const Term& term) {
        return written([&](JsonWriter& json) { json.object(term); });
    };
    CHECK(object_of(list({})) == "{}");
    CHECK(object_of(list({tuple({atom("a"), list({})})})) == R"({"a":[]})");
    CHECK(object_of(list({integer(1)})) == "[1]");
    CHECK(object_of(binary("text")) == R"("text")");
}

TEST_CASE("floats read back as the same float") {
    CHECK(json_of(1.0) == "1.0");
    CHECK(json_of(-0.5) == "-0.5");
    CHECK(json_of(0.1) == "0.1");
    CHECK(json_of(1e22) == "1.0e+22");
    CHECK(json_of(1.1e-7) == "1.1e-07");
    CHECK(json_of(static_cast<double>(1.1F)) == "1.100000023841858");
    CHECK(json_of(std::numeric_limits<double>::denorm_min()) == "5.0e-324");
}

TEST_CASE("strings are escaped, and what is not UTF-8 is replaced and counted") {
    CHECK(json_of(binary(std::string("\0\x01\t\n\x1F\"\\/\x7F", 9))) ==
          "\"\\u0000\\u0001\\u0009\\u000a\\u001f\\\"\\\\/\x7F\"");
    CHECK(json_of(binary("\xC3\xA9\xF0\x9F\x90\x87")) == "\"\xC3\xA9\xF0\x9F\x90\x87\"");
    std::string out;
    JsonWriter json(out);
    json.term(list({binary("a\xFF\xFE"), binary("b"), binary("\xC3")}));
    CHECK(out == "[\"a\xEF\xBF\xBD\xEF\xBF\xBD\",\"b\",\"\xEF\xBF\xBD\"]");
    CHECK(json.replaced_strings() == 2);
}

TEST_CASE("arrays and nested values are separated") {
    CHECK(written([](JsonWriter& json) {
              json.begin_object();
              json.key("one");
              json.begin_array();
              json.end_array();
              json.key("two");
              json.begin_array();
              json.string("a");
              json.term(map({{"k", integer(1)}, {"l", integer(2)}}));
              json.end_array();
              json.key("three");
              json.boolean(false);
              json.end_object();
          }) == R"({"one":[],"two":["a",{"k":1,"l":2}],"three":false})");
}

TEST_CASE("what JSON has no place for is an error") {
    CHECK_THROWS_WITH(json_of(tuple({integer(1), integer(2)})), Catch::Contains("{1,2}"));
    CHECK_THROWS_AS(json_of(list({tuple({integer(1), integer(2)})})), Error);
    CHECK_THROWS_AS(json_of(erlang::List{{integer(1)}, {integer(2)}}), Error);
    CHECK_THROWS_AS(json_of(erlang::Map{{{integer(1), integer(2)}}}), Error);
    CHECK_THROWS_AS(json_of(erlang::Opaque{erlang::Opaque::Kind::pid, "x"}), Error);
}

TEST_CASE("an integer of any sensible length is written, a longer one is an error at once") {
    const auto integer_of = [](std::size_t bytes) {
        return Term(erlang::BigInteger{false, std::vector<std::uint8_t>(bytes, 0xff)});
    };
    CHECK(json_of(integer_of(4096)).size() == 9865);
    try {
        json_of(list({integer_of(4097)}));
        FAIL("no error");
    } catch (const Error& error) {
        CHECK(error.code() == ErrorCode::failed);
        CHECK(error.what() == std::string("an integer of 4097 bytes is too long for JSON"));
        CHECK_FALSE(error.hint().empty());
    }
}
