// With damaged files goes what could not be used without them, and no more.
#include "erlang_port/error.hpp"
#include "tests/repository/sample.hpp"
#include "tests/restore/node_backup.hpp"

#include <catch2/catch.hpp>

#include <set>

using namespace hot_backup;
using harness::read_file;
using repository_test::has;
using restore_test::NodeBackup;
namespace fs = std::filesystem;
using Paths = std::set<std::string>;

namespace {

const std::string store = "data/msg_stores/vhosts/VHOST/msg_store_persistent/";
const std::string queue = "data/msg_stores/vhosts/VHOST/queues/QUEUE/";
const std::string raft = "data/quorum/rabbit@here/";
const std::string stream = "data/stream/__s_1/00000000000000000";

// Each file that is restored, with its size.
std::map<std::string, std::uintmax_t> sizes(const Path& directory) {
    std::map<std::string, std::uintmax_t> found;
    for (const auto& entry : fs::recursive_directory_iterator(directory)) {
        if (entry.is_regular_file()) {
            found["data/" + entry.path().lexically_relative(directory).string()] =
                entry.file_size();
        }
    }
    return found;
}

struct Outcome {
    Paths lost;
    Paths missing;  // of the files that a whole backup has
    Paths shortened;
};

// Files have three extents of 1000, 1000 and 500 bytes.
Outcome salvage(const std::vector<std::string>& damaged, std::size_t extent = 1) {
    NodeBackup backup;
    const std::string id = restore_test::with_node_files(backup).write();
    backup.restore(id, {.durable = false});
    const auto whole = sizes(backup.target());
    for (const std::string& path : damaged) {
        backup.damage(id, path, extent);
    }
    const auto node = backup.restore(id, {.force = true, .salvage = true, .durable = false});
    const auto found = sizes(backup.target());
    Outcome outcome;
    for (const LostFile& lost : node.lost) {
        INFO(lost.path);
        CHECK(has(lost.reason, "damaged"));
        outcome.lost.insert(lost.path);
    }
    for (const auto& [path, size] : whole) {
        if (!found.contains(path)) {
            outcome.missing.insert(path);
        } else if (found.at(path) != size) {
            CHECK(found.at(path) == extent * 1000);
            outcome.shortened.insert(path);
        }
    }
    CHECK(found.size() + outcome.missing.size() == whole.size());
    return outcome;
}

}  // namespace

TEST_CASE("of a whole backup nothing is lost") {
    const Outcome outcome = salvage({});
    CHECK(outcome.lost.empty());
    CHECK(outcome.missing.empty());
}

TEST_CASE("a message store keeps what is before the damage") {
    const std::string file = store + "0.rdq";
    const Outcome outcome = salvage({file}, 2);
    CHECK(outcome.lost == Paths{file});
    CHECK(outcome.missing.empty());
    CHECK(outcome.shortened == Paths{file});
    CHECK(salvage({file}, 0).missing == Paths{file});
}

TEST_CASE("a segment of a queue goes with its index, and alone") {
    for (const char* name : {"0.qi", "0.qs"}) {
        const Outcome outcome = salvage({queue + name});
        CHECK(outcome.lost == Paths{queue + "0.qi", queue + "0.qs", queue + "0.idx"});
        CHECK(outcome.missing == outcome.lost);
    }
    for (const char* name : {"1.idx", "journal.jif"}) {
        const Outcome outcome = salvage({queue + name});
        CHECK(outcome.lost == Paths{queue + name});
        CHECK(outcome.missing == outcome.lost);
    }
}

TEST_CASE("of a write-ahead log nothing stays that came after the damage") {
    const Outcome outcome = salvage({raft + "00000002.wal"});
    CHECK(outcome.lost == Paths{raft + "00000002.wal", raft + "00000003.wal"});
    CHECK(outcome.shortened == Paths{raft + "00000002.wal"});
    CHECK(outcome.missing == Paths{raft + "00000003.wal"});
    // Ra does not start with a log that has no header.
    CHECK(salvage({raft + "00000003.wal"}, 0).missing == Paths{raft + "00000003.wal"});
}

TEST_CASE("a Raft server without a part of its log is none") {
    const Paths server{raft + "ONE/00000001.segment", raft + "ONE/00000002.segment",
                       raft + "ONE/snapshots/snapshot.dat"};
    for (const std::string& file : server) {
        INFO(file);
        const Outcome outcome = salvage({file});
        CHECK(outcome.lost == server);
        CHECK(outcome.missing == server);
    }
    CHECK(salvage({raft + "names.dets"}).missing == Paths{raft + "names.dets"});
}

TEST_CASE("a stream begins later, or ends earlier") {
    const auto pair = [](const std::string& number) {
        return Paths{stream + number + ".segment", stream + number + ".index"};
    };
    Paths two = pair("000");
    two.merge(pair("100"));
    CHECK(salvage({stream + "000.segment"}).missing == pair("000"));
    CHECK(salvage({stream + "100.index"}).missing == two);
    CHECK(salvage({stream + "200.segment"}).missing == pair("200"));
}

TEST_CASE("several at once, and other files") {
    const Outcome outcome = salvage({raft + "ONE/00000001.segment", raft + "ONE/00000002.segment",
                                     store + "1.rdq", "data/schema.DAT"});
    CHECK(outcome.lost.size() == 5);
    CHECK(outcome.missing.contains("data/schema.DAT"));
    CHECK(outcome.shortened == Paths{store + "1.rdq"});
}
