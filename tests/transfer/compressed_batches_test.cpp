#include "sidecar/transfer/compressed_batches.hpp"

#include "tests/harness/temp_dir.hpp"

#include <catch2/catch.hpp>

#include <string>

namespace {

using harness::TempDir;
using hot_backup::find_compressed_batches;

std::string big_endian(std::uint64_t value, std::size_t size) {
    std::string bytes;
    for (std::size_t n = size; n > 0; --n) {
        bytes += static_cast<char>(value >> (8 * (n - 1)));
    }
    return bytes;
}

std::string message(std::size_t size) {
    return big_endian(size, 4) + std::string(size, '\xFF');
}

std::string batch(unsigned compression, std::uint64_t messages, std::size_t size) {
    return big_endian(0x80U | compression << 4U, 1) + big_endian(messages, 2) +
           big_endian(size * 2, 4) + big_endian(size, 4) + std::string(size, '\xFF');
}

std::string chunk(unsigned type, std::uint64_t first, std::uint64_t entries,
                  const std::string& data, const std::string& filter = {}) {
    return big_endian(0x50, 1) + big_endian(type, 1) + big_endian(entries, 2) +
           big_endian(entries, 4) + std::string(16, '\0') + big_endian(first, 8) +
           std::string(4, '\0') + big_endian(data.size(), 4) + big_endian(5, 4) +
           big_endian(filter.size(), 1) + std::string(3, '\0') + filter + data + "trail";
}

const std::string header("OSIL\0\0\0\1", 8);

TEST_CASE("compressed batches are found wherever they are in a stream") {
    const TempDir stream;
    const auto messages = chunk(0, 100, 2, message(10) + message(300'000));
    harness::write_file(stream / "00000000000000000100.segment", header + messages);
    harness::write_file(stream / "00000000000000000100.index", "not looked at");
    CHECK_FALSE(find_compressed_batches(stream.path()).has_value());

    // One that is not compressed, an entry of another kind of chunk, and none.
    harness::write_file(stream / "00000000000000000102.segment",
                        header + chunk(0, 102, 2, batch(0, 30, 50) + message(0)) +
                            chunk(1, 133, 1, batch(1, 4, 50)));
    CHECK_FALSE(find_compressed_batches(stream.path()).has_value());
    harness::write_file(stream / "00000000000000000133.segment", header);
    CHECK_FALSE(find_compressed_batches(stream.path()).has_value());

    harness::write_file(
        stream / "00000000000000000133.segment",
        header + chunk(0, 133, 3, message(1) + batch(1, 1, 400'000) + batch(0, 2, 7), "a filter") +
            chunk(0, 137, 2, message(5) + batch(4, 65535, 7)));
    const auto found = find_compressed_batches(stream.path());
    REQUIRE(found.has_value());
    CHECK(found->messages == 65536);
    CHECK(found->first_offset == 134);
}

TEST_CASE("the end of what is written is the end of the search") {
    const TempDir stream;
    const auto whole = header + chunk(0, 0, 1, message(10)) + chunk(0, 1, 1, batch(2, 7, 30));
    const auto path = stream / "00000000000000000000.segment";
    for (std::size_t length = 0; length < whole.size(); ++length) {
        harness::write_file(path, whole.substr(0, length));
        const auto found = find_compressed_batches(stream.path());
        CHECK((!found || found->messages == 7));
    }
    harness::write_file(path, whole);
    CHECK(find_compressed_batches(stream.path())->first_offset == 1);
}

}  // namespace
