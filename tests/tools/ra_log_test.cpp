// Logs as Ra 2.2 writes them, sound and damaged.
#include "tests/tools/ra_log.hpp"

#include "erlang_port/external_term.hpp"
#include "tests/harness/temp_dir.hpp"

#include <boost/crc.hpp>
#include <catch2/catch.hpp>

using harness::read_file;
using harness::TempDir;
using harness::write_file;
namespace fs = std::filesystem;

namespace {

std::string number(std::uint64_t value, unsigned size) {
    std::string bytes;
    while (size-- > 0) {
        bytes += static_cast<char>(value >> (8 * size) & 0xffU);
    }
    return bytes;
}

std::uint32_t crc32(const std::string& bytes) {
    boost::crc_32_type crc;
    crc.process_bytes(bytes.data(), bytes.size());
    return crc.checksum();
}

std::string data_of(std::uint64_t index) {
    return "the data of entry " + std::to_string(index);
}

constexpr unsigned capacity = 8;

std::string segment(std::uint64_t first, std::uint64_t last) {
    std::string index = "RASG" + number(2, 2) + number(capacity, 2);
    const std::size_t start = index.size() + capacity * 32;
    std::string data;
    for (std::uint64_t n = first; n <= last; ++n) {
        index += number(n, 8) + number(1, 8) + number(start + data.size(), 8) +
                 number(data_of(n).size(), 4) + number(crc32(data_of(n)), 4);
        data += data_of(n);
    }
    index.resize(start, '\0');
    return index + data;
}

// Without checksums, as Ra writes it when they are switched off.
std::string wal_entry(std::uint64_t index, const std::string& uid) {
    return (uid.empty() ? number(0x400000, 3) : number(0, 3) + number(uid.size(), 2) + uid) +
           number(0, 4) + number(data_of(index).size(), 4) + number(index, 8) + number(1, 8) +
           data_of(index);
}

std::string wal(std::uint64_t first, std::uint64_t last) {
    std::string content("RAWA\x01", 5);
    for (std::uint64_t n = first; n <= last; ++n) {
        content += wal_entry(n, n == first ? "UID1" : "");
    }
    return content;
}

std::string snapshot(std::uint64_t index) {
    std::string meta;
    erlang::encode_message(erlang::map({{"index", erlang::integer(index)}}), meta);
    const std::string checked = number(meta.size(), 4) + meta + "state";
    return std::string("RASN\x01", 5) + number(crc32(checked), 4) + checked;
}

// Entries 0 to 19: two segments, a write-ahead log that overlaps the second, another one.
class Logs {
public:
    Logs() {
        fs::create_directories(server() / "snapshots");
        write_file(server() / "config", "#{id => {'%2F_orders',rabbit@here},uid => <<\"UID1\">>}.");
        write_file(server() / "00000001.segment", segment(0, 7));
        write_file(server() / "00000002.segment", segment(8, 13));
        write_file(system() / "00000001.wal", wal(12, 16));
        write_file(system() / "00000002.wal", wal(17, 19));
    }

    fs::path system() const { return files_ / "quorum/rabbit@here"; }
    fs::path server() const { return system() / "UID1"; }
    fs::path segment_file(int n) const {
        return server() / ("0000000" + std::to_string(n) + ".segment");
    }
    fs::path wal_file(int n) const { return system() / ("0000000" + std::to_string(n) + ".wal"); }

    void add_snapshot(std::uint64_t index) {
        const fs::path directory = server() / "snapshots" / std::to_string(index);
        fs::create_directory(directory);
        write_file(directory / "snapshot.dat", snapshot(index));
    }

    tools::RaReport read() const { return tools::read_ra_logs(files_.path()); }

private:
    TempDir files_;
};

void flip(const fs::path& file, std::size_t byte) {
    std::string content = read_file(file);
    content.at(byte) ^= 1;
    write_file(file, content);
}

std::vector<std::string> problems_of(const Logs& logs) {
    tools::RaReport report = logs.read();
    std::vector<std::string> problems = report.problems;
    for (const std::string& problem : report.servers.at(0).problems) {
        problems.push_back(problem);
    }
    return problems;
}

std::string first_problem(const Logs& logs) {
    const std::vector<std::string> problems = problems_of(logs);
    REQUIRE(!problems.empty());
    return problems.front();
}

}  // namespace

TEST_CASE("a whole log has no problems") {
    const Logs logs;
    const tools::RaReport report = logs.read();
    CHECK(problems_of(logs).empty());
    CHECK(report.entries_in_segments == 14);
    CHECK(report.entries_in_wal == 8);
    REQUIRE(report.servers.size() == 1);
    CHECK(report.servers[0].uid == "UID1");
    CHECK(report.servers[0].name == "%2F_orders");
    CHECK_FALSE(report.servers[0].snapshot);
    CHECK(report.servers[0].entries == 20);
    CHECK(report.servers[0].last == 19);
}

TEST_CASE("a snapshot stands for the entries before it") {
    Logs logs;
    logs.add_snapshot(9);
    fs::remove(logs.segment_file(1));
    CHECK(problems_of(logs).empty());
    CHECK(logs.read().servers.at(0).snapshot == 9U);
    CHECK(logs.read().servers.at(0).entries == 10);
    // One that was not written to its end does not.
    flip(logs.server() / "snapshots/9/snapshot.dat", 20);
    CHECK(first_problem(logs) == "the log of UID1 lacks entries 0 to 7");
}

TEST_CASE("a segment that was only just made is none yet, unless it is followed by others") {
    const Logs logs;
    write_file(logs.segment_file(3), "");
    CHECK(problems_of(logs).empty());
    write_file(logs.segment_file(1), "");
    CHECK_THAT(first_problem(logs), Catch::Contains(logs.segment_file(1).string() + " ends"));
}

TEST_CASE("a hole in a log is found") {
    const Logs logs;
    SECTION("at its beginning") {
        fs::remove(logs.segment_file(1));
        CHECK(first_problem(logs) == "the log of UID1 lacks entries 0 to 7");
    }
    SECTION("between the segments and the write-ahead log") {
        write_file(logs.wal_file(1), wal(15, 16));
        CHECK(first_problem(logs) == "the log of UID1 lacks entries 14 to 14");
    }
    SECTION("between two write-ahead logs") {
        fs::remove(logs.wal_file(1));
        CHECK(first_problem(logs) == "the log of UID1 lacks entries 14 to 16");
    }
    SECTION("within a write-ahead log") {
        write_file(logs.wal_file(2), wal(17, 17) + wal_entry(19, ""));
        CHECK_THAT(first_problem(logs), Catch::Contains("goes from entry 17 to 19"));
    }
}

TEST_CASE("a file that was cut off is found") {
    const Logs logs;
    const fs::path file = GENERATE(0, 1) == 0 ? logs.segment_file(2) : logs.wal_file(1);
    const std::string content = read_file(file);
    write_file(file, content.substr(0, content.size() - 1));
    CHECK_THAT(first_problem(logs), Catch::Contains(file.string() + " ends"));
}

TEST_CASE("the newest write-ahead log may end within an entry, which does not count then") {
    const Logs logs;
    const std::string content = read_file(logs.wal_file(2));
    write_file(logs.wal_file(2), content.substr(0, content.size() - 1));
    CHECK(problems_of(logs).empty());
    CHECK(logs.read().servers.at(0).last == 18);
}

TEST_CASE("a flipped bit is found") {
    const Logs logs;
    SECTION("in the data of a segment") {
        flip(logs.segment_file(2), read_file(logs.segment_file(2)).size() - 1);
        CHECK_THAT(first_problem(logs), Catch::Contains("wrong checksum for entry 13"));
    }
    SECTION("in the index of a segment") {
        flip(logs.segment_file(2), 8 + 7);
        CHECK_FALSE(problems_of(logs).empty());
    }
    SECTION("in data that a segment has too") {
        flip(logs.wal_file(1), read_file(logs.wal_file(1)).find(data_of(13)));
        CHECK_THAT(first_problem(logs), Catch::Contains("has entry 13 twice, and different"));
    }
    SECTION("under a checksum of the write-ahead log") {
        // The Adler-32 of an entry without data, computed by hand: index 20, term 1.
        const std::string entry =
            number(0x400000, 3) + number(0, 4) + number(0, 4) + number(20, 8) + number(1, 8);
        const std::string before = read_file(logs.wal_file(2));
        write_file(logs.wal_file(2), before + entry);
        CHECK(problems_of(logs).empty());
        std::string checked = entry;
        checked.replace(3, 4, number((16 + 9 * 20 + 1) << 16U | 22U, 4));
        write_file(logs.wal_file(2), before + checked);
        CHECK(problems_of(logs).empty());
        flip(logs.wal_file(2), read_file(logs.wal_file(2)).size() - 1);
        CHECK_THAT(first_problem(logs), Catch::Contains("wrong checksum at byte"));
    }
}
