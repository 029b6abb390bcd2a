#include "sidecar/sandbox/last_writes.hpp"

#include "tests/restore/node_backup.hpp"

#include <catch2/catch.hpp>

using namespace hot_backup;
using namespace std::chrono_literals;
using restore_test::NodeBackup;

namespace {

const std::string queues = "data/msg_stores/vhosts/V/queues/";

void add_queue(NodeBackup& backup, const std::string& directory, const std::string& stub) {
    backup.directory(queues + directory).file(queues + directory + "/.queue_name", stub);
}

}  // namespace

TEST_CASE("each classic queue has its own last write, quorum queues have one") {
    using namespace std::string_literals;
    NodeBackup backup;
    for (const char* path : {"data/msg_stores", "data/msg_stores/vhosts",
                             "data/msg_stores/vhosts/V", "data/msg_stores/vhosts/V/queues"}) {
        backup.directory(path);
    }
    backup.at(now() - 100s);
    add_queue(backup, "A", "VHOST: /\nQUEUE: rests\n");
    add_queue(backup, "B", "VHOST: a b\nQUEUE: works\nINDEX: v2\n");
    add_queue(backup, "C", "VHOST: /\nQUEUE: priority\0\1\n"s);
    add_queue(backup, "D", "VHOST: /\nQUEUE: priority\0\2\n"s);
    add_queue(backup, "E", "of no queue");
    backup.file(queues + "A/0.idx", "x").file("data/msg_stores/vhosts/V/5.rdq", "x");
    backup.at(now() - 5s);
    backup.file(queues + "B/0.qi", "x").file(queues + "D/journal.jif", "x");
    backup.file(queues + "E/0.qi", "x");
    backup.directory("data/quorum").file("data/quorum/1.wal", "x");
    backup.at(now());
    backup.directory("data/stream").file("data/stream/1.segment", "x");
    const std::string id = backup.write();
    const auto restored = backup.restore(id, {.durable = false});

    const auto writes = last_writes(backup.repository(), id, restored.data_directory);
    const auto seconds = [](Timestamp time) {
        return std::chrono::round<std::chrono::seconds>(now() - time).count();
    };
    REQUIRE(writes.classic.size() == 3);
    CHECK(seconds(writes.classic.at({"/", "rests"})) >= 99);
    CHECK(seconds(writes.classic.at({"a b", "works"})) < 60);
    CHECK(seconds(writes.classic.at({"/", "priority"})) < 60);
    REQUIRE(writes.quorum);
    CHECK(seconds(*writes.quorum) < 60);
    CHECK(seconds(*writes.quorum) >= 4);
}
