#include "sidecar/sandbox/stream_offsets.hpp"

#include "tests/harness/temp_dir.hpp"

#include <catch2/catch.hpp>

using harness::TempDir;
using harness::write_file;
using hot_backup::read_stream_offsets;
using hot_backup::StreamOffsets;

namespace {

std::string big_endian(std::uint64_t value, std::size_t size) {
    std::string bytes;
    for (std::size_t n = size; n > 0; --n) {
        bytes += static_cast<char>(value >> (8 * (n - 1)));
    }
    return bytes;
}

// A segment and its index, with chunks of so many records each.
struct Segment {
    std::string chunks = "OSIL" + big_endian(1, 4);
    std::string index = "OSII" + big_endian(1, 4);

    void add(std::uint64_t id, std::uint64_t records, std::size_t data) {
        index += big_endian(id, 8) + std::string(16, '\0') + big_endian(chunks.size(), 4) + '\0';
        chunks += std::string("\x50\0\0\0", 4) + big_endian(records, 4) + std::string(16, '\0') +
                  big_endian(id, 8) + big_endian(0, 4) + big_endian(data, 4) + big_endian(7, 4) +
                  big_endian(0, 4) + std::string(data + 7, 'x');
    }

    void write(const std::filesystem::path& stream, const std::string& name) const {
        write_file(stream / (name + ".segment"), chunks);
        write_file(stream / (name + ".index"), index);
    }
};

}  // namespace

TEST_CASE("a stream's offsets are those of its first and its last whole chunk") {
    const TempDir node;
    const auto stream = node / "stream/__s_1";
    std::filesystem::create_directories(stream);
    Segment first;
    first.add(100, 10, 50);
    first.add(110, 1, 50);
    Segment second;
    second.add(111, 5, 50);
    second.add(116, 4, 50);
    first.write(stream, "00000000000000000100");
    second.write(stream, "00000000000000000111");
    const auto offsets = [&] { return read_stream_offsets(node.path()).at("__s_1"); };
    CHECK(offsets() == StreamOffsets{100, 119});

    SECTION("a chunk that is cut off does not count") {
        second.chunks.pop_back();
        second.write(stream, "00000000000000000111");
        CHECK(offsets() == StreamOffsets{100, 115});
    }
    SECTION("nor does one without a whole index record") {
        second.index.pop_back();
        second.write(stream, "00000000000000000111");
        CHECK(offsets() == StreamOffsets{100, 115});
    }
    SECTION("a new segment has nothing yet") {
        Segment().write(stream, "00000000000000000120");
        CHECK(offsets() == StreamOffsets{100, 119});
    }
}

TEST_CASE("a stream with nothing in it has no offsets, a node without streams none at all") {
    const TempDir node;
    CHECK(read_stream_offsets(node.path()).empty());
    std::filesystem::create_directories(node / "stream/__e_1");
    Segment().write(node / "stream/__e_1", "00000000000000000000");
    const auto offsets = read_stream_offsets(node.path());
    REQUIRE(offsets.size() == 1);
    CHECK_FALSE(offsets.at("__e_1").has_value());
}
