// Digests, times, IDs and sealed text.
#include "sidecar/repository/checksum.hpp"
#include "sidecar/repository/identifier.hpp"
#include "sidecar/repository/sealed_text.hpp"
#include "tests/repository/memory_file_system.hpp"
#include "tests/repository/sample.hpp"

#include <catch2/catch.hpp>

using namespace hot_backup;
using namespace repository_test;

TEST_CASE("a digest is XXH3-128 in canonical form") {
    // What `xxhsum -H2` prints for these bytes.
    CHECK(checksum("").hex() == "99aa06d3014798d86001c324468d497f");
    CHECK(checksum("abc").hex() == "06b05ab6733a618578af5f94892f3950");
    CHECK(checksum("hello").hex() == "b5e9c1ad071b3e7fc779cfaa5e523818");
}

TEST_CASE("a digest of pieces is that of the whole") {
    const std::string bytes = sample_bytes(100'000);
    Checksum pieces;
    pieces.update("left over");
    pieces.reset();
    for (std::size_t at = 0, size = 0; at < bytes.size(); at += size, size = size * 2 + 1) {
        pieces.update(std::string_view(bytes).substr(at, size));
    }
    CHECK(pieces.digest() == checksum(bytes));
}

TEST_CASE("a digest is read only in its one form") {
    const Digest digest = checksum("hello");
    CHECK(Digest::from_hex(digest.hex()) == digest);
    CHECK_FALSE(Digest::from_hex(digest.hex() + "0"));
    CHECK_FALSE(Digest::from_hex(digest.hex().substr(1)));
    CHECK_FALSE(Digest::from_hex("B5E9C1AD071B3E7FC779CFAA5E523818"));
    CHECK_FALSE(Digest::from_hex("g5e9c1ad071b3e7fc779cfaa5e523818"));
}

TEST_CASE("times are written and read in UTC") {
    CHECK(to_text(Timestamp{}) == "1970-01-01T00:00:00.000000Z");
    CHECK(to_text(sample_time()) == "2026-11-22T07:32:41.512000Z");
    for (const char* text : {"2024-02-29T23:59:59.999999Z", "0001-01-01T00:00:00.000001Z"}) {
        CHECK(to_text(*parse_timestamp(text)) == text);
    }
    CHECK(parse_timestamp("1970-01-01T00:00:01Z") == Timestamp{std::chrono::seconds{1}});
    CHECK(parse_timestamp("1970-01-01T00:00:00.5Z") == Timestamp{std::chrono::milliseconds{500}});
    CHECK(parse_timestamp("1970-01-01T00:00:00.000001999Z") ==
          Timestamp{std::chrono::microseconds{1}});
}

TEST_CASE("what is no time is not read as one") {
    for (const char* text :
         {"", "2026", "2026-11-22", "2026-11-22T07:32:41", "2026-11-22T07:32:41.Z",
          "2026-11-22T07:32:41.1234567890Z", "2026-13-22T07:32:41Z", "2026-02-29T07:32:41Z",
          "2026-11-22T24:00:00Z", "2026-11-22T07:60:41Z", "2026-11-22T07:32:60Z",
          "2026-11-22 07:32:41Z", "2026-11-22T07:32:41Z ", "-026-11-22T07:32:41Z",
          "2026-11-22T07:32:41+01:00"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_timestamp(text));
    }
}

TEST_CASE("an ID is the time in milliseconds") {
    const std::string id = next_backup_id(sample_time() + std::chrono::microseconds{999}, "");
    CHECK(id == "20261122T073241.512Z");
    CHECK(is_backup_id(id));
}

TEST_CASE("IDs rise when the clock does not") {
    CHECK(next_backup_id(sample_time(), "20261122T073241.512Z") == "20261122T073241.513Z");
    CHECK(next_backup_id(sample_time(), "20291231T235959.999Z") == "20300101T000000.000Z");
    CHECK(next_backup_id(sample_time(), "20261122T073241.511Z") == "20261122T073241.512Z");
}

TEST_CASE("where no ID is left, the error says which file or clock is to blame") {
    const Error last = error_of([] { next_backup_id(sample_time(), "99991231T235959.999Z"); });
    CHECK(last.code() == ErrorCode::failed);
    CHECK(has(last.what(), "99991231T235959.999Z"));
    CHECK(has(last.hint(), "begin with 99991231T235959.999Z"));
    const Timestamp beyond = *parse_timestamp("9999-12-31T23:59:59Z") + std::chrono::seconds{1};
    const Error clock = error_of([&] { next_backup_id(beyond, ""); });
    CHECK(clock.code() == ErrorCode::failed);
    CHECK(has(clock.what(), "the clock says 10000-01-01"));
    CHECK_FALSE(clock.hint().empty());
}

TEST_CASE("what is no ID is not taken for one") {
    for (const char* text : {"", "latest", "20261122T073241.512", "20261122T073241.512ZZ",
                             "20261322T073241.512Z", "20261122t073241.512Z", "20261122T073241,512Z",
                             "2026112 T073241.512Z", "../../../etc/passwd0"}) {
        CAPTURE(text);
        CHECK_FALSE(is_backup_id(text));
    }
}

TEST_CASE("a pack is named after its backup") {
    const std::string id = "20261122T073241.512Z";
    CHECK(pack_name(id, 1) == id + ".0001");
    CHECK(pack_name(id, 12345) == id + ".12345");
    CHECK(is_pack_name(pack_name(id, 12345)));
    CHECK(backup_of_pack(pack_name(id, 7)) == id);
    for (const char* end : {"", ".", ".1", ".001", ".000x", "-0001", ".0001/", ".00000000001"}) {
        CAPTURE(end);
        CHECK_FALSE(is_pack_name(id + end));
    }
}

namespace {

std::vector<std::string> read_lines(FileSystem& file_system, const Path& path) {
    SealedTextReader reader(file_system, path);
    std::vector<std::string> lines;
    while (const auto line = reader.next_line()) {
        lines.emplace_back(*line);
    }
    return lines;
}

}  // namespace

TEST_CASE("sealed text gives back the lines, however long they are") {
    MemoryFileSystem disk;
    std::vector<std::string> lines = {"{}", "", std::string(1'000'000, 'x')};
    for (int i = 0; i < 20'000; ++i) {
        lines.push_back("{\"line\":" + std::to_string(i) + '}');
    }
    {
        const auto file = disk.create("/text");
        SealedTextWriter writer(*file);
        for (const std::string& line : lines) {
            writer.write_line(line);
        }
        writer.seal();
    }
    CHECK(read_lines(disk, "/text") == lines);
    disk.cut_power();
    CHECK_FALSE(disk.status("/text"));
}

TEST_CASE("sealed text without a line can be read") {
    MemoryFileSystem disk;
    const auto file = disk.create("/text");
    SealedTextWriter(*file).seal();
    CHECK(disk.content("/text") == "{\"xxh3_128\":\"99aa06d3014798d86001c324468d497f\"}\n");
    CHECK(read_lines(disk, "/text").empty());
}

TEST_CASE("a seal over half a line is not valid") {
    MemoryFileSystem disk;
    disk.put("/text", "{}{\"xxh3_128\":\"" + checksum("{}").hex() + "\"}\n");
    const Error error = error_of([&] { SealedTextReader(disk, "/text"); });
    CHECK(error.code() == ErrorCode::damaged);
}

TEST_CASE("a foreign file is told from a damaged one") {
    MemoryFileSystem disk;
    disk.put("/foreign", "{\"some\":\"configuration\"}\n");
    CHECK(has(error_of([&] { SealedTextReader(disk, "/foreign"); }).what(),
              "/foreign is damaged: it is not a file of RabbitMQ Hot Backup"));
    disk.put("/cut", "{\"format\":\"rabbitmq-hot-backup manifest\",\"versi");
    CHECK(has(error_of([&] { SealedTextReader(disk, "/cut"); }).what(),
              "/cut is damaged: its last line is not a seal"));
}
