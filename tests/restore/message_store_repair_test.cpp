// The recovery scan of RabbitMQ 4.0.5 gives up in a hole; zeros at the end keep it from that.
#include "sidecar/restore/message_store_repair.hpp"
#include "tests/harness/temp_dir.hpp"

#include <catch2/catch.hpp>

#include <set>
#include <string>

using namespace hot_backup;

namespace {

std::string number(std::uint64_t value) {
    std::string bytes;
    for (int shift = 56; shift >= 0; shift -= 8) {
        bytes += static_cast<char>(value >> shift & 0xFFU);
    }
    return bytes;
}

std::uint64_t number_at(const std::string& bytes, std::uint64_t at) {
    std::uint64_t value = 0;
    for (std::size_t n = 0; n < 8; ++n) {
        value = value << 8 | static_cast<std::uint8_t>(bytes.at(at + n));
    }
    return value;
}

// As the message store has it.
std::string message(char id, std::size_t body_size) {
    return number(16 + body_size) + std::string(16, id) + std::string(body_size, 'b') + '\xFF';
}

// The identifiers that the scan of 4.0.5 finds in a file, given those that queues refer to.
std::set<char> scan(const std::string& file, const std::set<char>& referred) {
    std::set<char> found;
    for (std::uint64_t at = 0; file.size() - at >= 8;) {
        const std::uint64_t left = file.size() - at - 8;
        const std::uint64_t size = number_at(file, at);
        if (size >= 16 && size < left && file[at + 8 + size] == '\xFF') {
            const char id = file[at + 8];
            if (referred.contains(id) && found.insert(id).second) {
                at += size + 9;
                continue;
            }
        } else if (left < size + 1 && size < file.size() - at) {
            return found;  // reads on at the end of the file
        }
        ++at;
    }
    return found;
}

// A message, a hole of ten bytes in which a length leads to `before_end` bytes before the end of
// the file (negative: behind it), two messages.
std::string with_hole(std::int64_t before_end) {
    const std::string first = message('a', 100);
    const std::string rest = message('b', 200) + message('c', 300);
    const std::uint64_t size = 10 + rest.size();  // from the length to the end
    std::string hole = number(size - static_cast<std::uint64_t>(before_end));
    return first + hole + std::string(2, '\x01') + rest;
}

const std::set<char> all{'a', 'b', 'c'};

}  // namespace

TEST_CASE("the scan gives up where a length leads to the last eight bytes") {
    for (std::int64_t before_end = -3; before_end <= 12; ++before_end) {
        INFO(before_end);
        const bool gives_up = before_end >= 1 && before_end <= 8;
        std::string file = with_hole(before_end);
        CHECK(scan(file, all) == (gives_up ? std::set<char>{'a'} : all));
        const std::uint64_t zeros = missing_zeros(file);
        CHECK((zeros > 0) == gives_up);
        file.append(zeros, '\0');
        CHECK(scan(file, all) == all);
        CHECK(missing_zeros(file) == 0);
    }
}

TEST_CASE("several holes, one of which waits where the zeros of another would end") {
    const std::string tail = message('b', 200) + message('c', 300);
    // Lengths that lead to 1, 9, 17, ... bytes behind what is the end at first.
    std::string holes;
    constexpr std::uint64_t count = 700;
    for (std::uint64_t n = 0; n < count; ++n) {
        const std::uint64_t left = (count - n) * 8 + tail.size();
        holes += number(left - 1 + 8 * n);
    }
    std::string file = message('a', 100) + holes + tail;
    CHECK(scan(file, all) == std::set<char>{'a'});
    const std::uint64_t zeros = missing_zeros(file);
    // More than one pass looks at.
    CHECK(zeros > 4096);
    file.append(zeros, '\0');
    CHECK(scan(file, all) == all);
}

TEST_CASE("files without holes stay as they are, also the shortest") {
    CHECK(missing_zeros("") == 0);
    CHECK(missing_zeros(std::string(7, '\0')) == 0);
    CHECK(missing_zeros(message('a', 0)) == 0);
    CHECK(missing_zeros(message('a', 10) + message('b', 0)) == 0);
    CHECK(missing_zeros(std::string(100'000, '\0')) == 0);
    CHECK(missing_zeros(message('a', 100) + std::string(5000, '\0') + message('b', 100)) == 0);
}

TEST_CASE("the file is lengthened on disk") {
    const harness::TempDir files;
    const auto path = files / "0.rdq";
    const std::string content = with_hole(4);
    harness::write_file(path, content);
    const std::uint64_t zeros = repair_message_store_file(path);
    CHECK(zeros > 0);
    CHECK(harness::read_file(path) == content + std::string(zeros, '\0'));
    CHECK(repair_message_store_file(path) == 0);
    harness::write_file(path, "");
    CHECK(repair_message_store_file(path) == 0);
}

TEST_CASE("only versions with the hole are repaired") {
    for (const char* version :
         {"3.13.1", "3.13.7", "4.0.0", "4.0.5", "4.0.9", "4.1.0", "4.1.4", "4.1.0-rc.2"}) {
        INFO(version);
        CHECK(gives_up_in_holes(version));
    }
    for (const char* version : {"3.8.9", "3.10.8", "3.12.14", "3.13.0", "4.1.5", "4.1.8", "4.2.0",
                                "4.3.5", "5.0.0", "", "unknown", "4"}) {
        INFO(version);
        CHECK_FALSE(gives_up_in_holes(version));
    }
}
