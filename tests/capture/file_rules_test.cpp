// The table of sidecar/capture/file_rules.cpp.
#include "sidecar/capture/file_rules.hpp"

#include <catch2/catch.hpp>

#include <string>

using namespace hot_backup;

TEST_CASE("each kind of file has the rule of who writes it") {
    const std::string vhost = "data/msg_stores/vhosts/628WB79CIFDYO9LJI6DKMI09L/";
    for (const auto& [path, rule] : {
             std::pair{vhost + "msg_store_persistent/0.rdq", CopyRule::message_store},
             {vhost + "msg_store_transient/12.rdq", CopyRule::message_store},
             {vhost + "msg_store_persistent/12.rdt", CopyRule::combine_in_flight},
             {vhost + "queues/1A2B/0.idx", CopyRule::append_only},
             {vhost + "queues/1A2B/journal.jif", CopyRule::journal},
             {vhost + "queues/1A2B/0.qi", CopyRule::in_place},
             {vhost + "queues/1A2B/0.qs", CopyRule::append_only},
             {vhost + "queues/1A2B/.queue_name", CopyRule::in_place},
             {vhost + ".vhost", CopyRule::in_place},
             {vhost + ".config", CopyRule::in_place},
             {vhost + "recovery.dets", CopyRule::left_out},
             {vhost + "msg_store_persistent/clean.dot", CopyRule::left_out},
             {vhost + "msg_store_persistent/file_summary.ets", CopyRule::left_out},
             {vhost + "msg_store_persistent/msg_store_index.ets", CopyRule::left_out},
             {std::string("data/quorum/rabbit@a/00000001.wal"), CopyRule::raft_log},
             {std::string("data/coordination/rabbit@a/00000002.wal"), CopyRule::raft_log},
             {std::string("data/quorum/rabbit@a/UID/00000001.segment"), CopyRule::raft_segment},
             {std::string("data/coordination/rabbit@a/UID/00000001.segment"),
              CopyRule::raft_segment},
             {std::string("data/quorum/rabbit@a/UID/snapshots/0A_1/snapshot.dat"),
              CopyRule::in_place},
             {std::string("data/quorum/rabbit@a/meta.dets"), CopyRule::in_place},
             {std::string("data/quorum/rabbit@a/UID/config"), CopyRule::in_place},
             {std::string("data/stream/__s_17/00000000000000000000.segment"),
              CopyRule::append_only},
             {std::string("data/stream/__s_17/00000000000000000000.index"), CopyRule::append_only},
             {std::string("data/LATEST.LOG"), CopyRule::in_place},
             {std::string("data/rabbit_queue.DCD"), CopyRule::in_place},
             {std::string("data/rabbit@a.pid"), CopyRule::left_out},
             {std::string("data/nobody/knows"), CopyRule::in_place},
             {std::string("knows"), CopyRule::in_place},
             {std::string(), CopyRule::in_place},
         }) {
        CAPTURE(path);
        CHECK(rule_for(path) == rule);
    }
}

TEST_CASE("a directory of the node may lie elsewhere, and be a root of its own") {
    CHECK(rule_for("quorum/rabbit@a/UID/00000001.segment") == CopyRule::raft_segment);
    CHECK(rule_for("stream/__s_17/00000000000000000000.segment") == CopyRule::append_only);
    CHECK(rule_for("quorum_wal/00000001.wal") == CopyRule::raft_log);
    CHECK(rule_for("quorum_wal/rabbit@a/00000001.wal") == CopyRule::raft_log);
    CHECK(rule_for("quorum_wal/rabbit@a/meta.dets") == CopyRule::in_place);
}

TEST_CASE("a name means something only where its writer works") {
    for (const char* path :
         {"data/0.rdq", "data/0.idx", "data/quorum/0.qs", "data/00000001.wal",
          "data/stream/00000001.wal", "data/msg_stores/00000001.segment", "data/recovery.dets",
          "data/stream/clean.dot", "data/quorum/x.index", "data/12.rdt", "data/stream",
          "data/msg_stores/old_recovery.dets", "data/my_msg_stores/0.rdq"}) {
        CAPTURE(path);
        CHECK(rule_for(path) == CopyRule::in_place);
    }
    // A stream called "quorum" is a stream.
    CHECK(rule_for("data/stream/quorum/1.segment") == CopyRule::append_only);
}

TEST_CASE("a file of the message store has a number") {
    CHECK(message_store_number("data/msg_stores/17.rdq") == 17);
    CHECK(message_store_number("0.rdq") == 0);
    CHECK(message_store_number("18446744073709551615.rdq") == UINT64_MAX);
    for (const char* name : {"18446744073709551616.rdq", "-1.rdq", "1x.rdq", ".rdq", "1.rdt", "1",
                             "x/1.rdq/", "0x1.rdq", " 1.rdq"}) {
        CAPTURE(name);
        CHECK_FALSE(message_store_number(name));
    }
    CHECK(rule_for("data/msg_stores/copy-of-1.rdq") == CopyRule::in_place);
}

TEST_CASE("the index of a Raft segment ends where its header says") {
    using namespace std::string_view_literals;
    CHECK(raft_index_end("RASG\x00\x02\x10\x00"sv) == 8 + 4096 * 32);
    CHECK(raft_index_end("RASG\x00\x01\x00\x02"sv) == 8 + 2 * 32);
    CHECK(raft_index_end("RASG\x00\x02\xff\xff more"sv) == 8 + 65535 * 32);
    for (const std::string_view header :
         {""sv, "RASG"sv, "RASG\x00\x02\x10"sv, "RASG\x00\x03\x10\x00"sv, "RASG\x00\x00\x10\x00"sv,
          "RASG\x01\x02\x10\x00"sv, "RAWA\x00\x02\x10\x00"sv, "\0\0\0\0\0\0\0\0"sv}) {
        CHECK_FALSE(raft_index_end(header));
    }
}
