// Where the entries of a Raft write-ahead log end: sidecar/capture/raft_log.hpp.
#include "sidecar/capture/raft_log.hpp"

#include "tests/capture/live_copy_fixture.hpp"
#include "tests/capture/raft_entries.hpp"

#include <catch2/catch.hpp>

#include <vector>

using namespace capture_test;
using namespace hot_backup;

namespace {

class Log {
public:
    explicit Log(std::string_view content) : size_(content.size()) {
        node_.write("1.wal", content);
        file_ = open_regular_file(path());
    }

    bool ahead() const { return may_be_allocated_ahead(file_, path(), size_); }
    std::optional<std::uint64_t> end(std::uint64_t from = 0) const {
        return raft_log_end(file_, path(), from, size_);
    }

private:
    std::string path() const { return node_.path("1.wal"); }

    Node node_;
    std::uint64_t size_;
    Descriptor file_;
};

const std::string zeros(300, '\0');

}  // namespace

TEST_CASE("a log that has room left may be allocated ahead") {
    const std::string written = raft_log(raft_entry("data"));
    CHECK(Log(written + zeros).ahead());
    CHECK(Log(written + std::string(16, '\0')).ahead());
    CHECK_FALSE(Log(written + std::string(15, '\0')).ahead());
    CHECK_FALSE(Log(written).ahead());
    CHECK_FALSE(Log("").ahead());
    // Nobody can tell by its end.
    CHECK(Log(raft_log(raft_entry(zeros))).ahead());
}

TEST_CASE("a log ends behind its last entry") {
    // Longer than what is read at once, and headers that lie across its borders.
    std::string entries;
    std::vector<std::uint64_t> ends{raft_log("").size()};
    for (const std::size_t size : {1U, 100U, 65536U, 70000U, 200000U, 131000U, 40U, 65500U, 3U}) {
        entries += raft_entry(bytes_of(size), {.known = size % 2 == 0 && size > 1});
        ends.push_back(raft_log(entries).size());
    }
    const std::string written = raft_log(entries);
    CHECK(Log(written + zeros).end() == written.size());
    CHECK(Log(written).end() == written.size());
    CHECK(Log(raft_log("") + zeros).end() == 5);
    for (const std::uint64_t end : ends) {
        CAPTURE(end);
        CHECK(Log(written + zeros).end(end) == written.size());
        CHECK(Log(written.substr(0, end) + zeros).end() == end);
    }
}

TEST_CASE("data of an entry may be zeros") {
    const std::string written = raft_log(raft_entry(zeros + zeros) + raft_entry(zeros));
    CHECK(Log(written + zeros).end() == written.size());
    CHECK(Log(written).end() == written.size());
}

TEST_CASE("an entry that is being written does not count, wherever it was cut off") {
    const std::string written = raft_log(raft_entry(bytes_of(100)));
    const std::string next = raft_entry(bytes_of(200) + "x");
    for (std::size_t size = 0; size < next.size(); ++size) {
        CAPTURE(size);
        const std::string begun = written + next.substr(0, size);
        CHECK(Log(begun + zeros + zeros).end() == written.size());
        CHECK(Log(begun).end() == written.size());
    }
    CHECK(Log(written + next + zeros).end() == written.size() + next.size());
}

TEST_CASE("an entry without a checksum counts") {
    const std::string written = raft_log(raft_entry("data", {.adler32 = 0}));
    CHECK(Log(written + zeros).end() == written.size());
}

TEST_CASE("what does not begin as a log has no such end") {
    CHECK_FALSE(Log(zeros).end());
    CHECK_FALSE(Log("").end());
    CHECK_FALSE(Log("RAWA").end());
    CHECK_FALSE(Log("RAWA\x02" + raft_entry("data")).end());
    CHECK_FALSE(Log("RASG\x01" + raft_entry("data")).end());
}
