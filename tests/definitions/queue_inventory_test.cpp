#include "sidecar/definitions/queue_inventory.hpp"

#include "tests/definitions/snapshot_builder.hpp"

#include <catch2/catch.hpp>

using namespace hot_backup;
using namespace snapshot_builder;
using erlang::atom;
using erlang::binary;
using erlang::integer;
using erlang::list;
using erlang::tuple;

namespace {

constexpr std::size_t durable = 2;
constexpr std::size_t owner = 4;
constexpr std::size_t type = 19;

Term pid() {
    return erlang::Opaque{erlang::Opaque::Kind::pid,
                          std::string("gw\x01n\x00\x00\x00\x01\x00\x00\x00\x00\x01", 13)};
}

std::vector<StoredVhost> inventory(const std::vector<Term>& records,
                                   std::vector<QueueStatistics> statistics = {},
                                   std::string_view version = "3.10.8") {
    MemorySource source(chunk(records));
    Snapshot snapshot(source, SnapshotIndex::scan(source));
    return list_queues(snapshot, version, std::move(statistics));
}

Term a_vhost(std::string_view name) {
    return in_table("rabbit_vhost", vhost(name));
}

Term a_queue(std::string_view vhost, std::string_view name, Term arguments = list({})) {
    return in_table("rabbit_durable_queue", queue(vhost, name, std::move(arguments)));
}

QueueStatistics statistics(const std::string& vhost, const std::string& name, std::uint64_t ready) {
    QueueStatistics queue;
    queue.vhost = vhost;
    queue.name = name;
    queue.ready = ready;
    return queue;
}

std::optional<unsigned> version_in(std::string_view broker, std::string_view queue_type,
                                   Term arguments = list({})) {
    const auto vhosts = inventory(
        {a_vhost("/"), with(a_queue("/", "q", std::move(arguments)), type, atom(queue_type))}, {},
        broker);
    return vhosts.at(0).queues.at(0).version;
}

}  // namespace

TEST_CASE("queues are listed by vhost and name, each with its statistics") {
    const auto vhosts = inventory(
        {a_vhost("z"), a_vhost("/"), a_vhost("empty"), a_queue("z", "a"), a_queue("/", "b"),
         a_queue("/", "a"), with(a_queue("/", "c"), type, atom("rabbit_stream_queue")),
         with(a_queue("z", "b"), type, atom("rabbit_quorum_queue"))},
        {statistics("/", "a", 1), statistics("z", "a", 2), statistics("z", "gone", 3),
         statistics("nowhere", "a", 4)});
    REQUIRE(vhosts.size() == 3);
    CHECK(vhosts[0].name == "/");
    CHECK(vhosts[1].name == "empty");
    CHECK(vhosts[1].queues.empty());
    CHECK(vhosts[2].name == "z");

    REQUIRE(vhosts[0].queues.size() == 3);
    CHECK(vhosts[0].queues[0].statistics == statistics("/", "a", 1));
    CHECK(vhosts[0].queues[0].type == "classic");
    CHECK(vhosts[0].queues[1].statistics.name == "b");
    CHECK_FALSE(vhosts[0].queues[1].statistics.ready);
    CHECK(vhosts[0].queues[2].type == "stream");
    REQUIRE(vhosts[2].queues.size() == 2);
    CHECK(vhosts[2].queues[0].statistics.ready == 2U);
    CHECK(vhosts[2].queues[1].type == "quorum");
}

TEST_CASE("only queues that survive a restart are listed") {
    const auto vhosts =
        inventory({a_vhost("/"), with(a_queue("/", "transient"), durable, atom("false")),
                   with(a_queue("/", "exclusive"), owner, pid()), a_queue("/", "durable"),
                   a_queue("/", "deleted"),
                   deletion("rabbit_durable_queue", resource("/", "queue", "deleted"))},
                  {statistics("/", "transient", 1)});
    REQUIRE(vhosts.size() == 1);
    REQUIRE(vhosts[0].queues.size() == 1);
    CHECK(vhosts[0].queues[0].statistics.name == "durable");
}

TEST_CASE("the version of a classic queue is told where it is certain") {
    constexpr auto classic = "rabbit_classic_queue";
    const auto argument = [](std::uint64_t version) {
        return list({tuple({binary("x-max-length"), atom("long"), integer(1)}),
                     tuple({binary("x-queue-version"), atom("long"), integer(version)})});
    };
    CHECK_FALSE(version_in("3.10.8", classic));
    CHECK(version_in("3.10.8", classic, argument(1)) == 1U);
    CHECK(version_in("3.13.0", classic, argument(2)) == 2U);
    CHECK_FALSE(version_in("3.13.0", classic, argument(3)));
    CHECK_FALSE(version_in("3.13.0", "rabbit_quorum_queue", argument(2)));
    CHECK(version_in("3.9.1", classic, argument(2)) == 1U);
    CHECK(version_in("4.0.5", classic, argument(1)) == 2U);
    CHECK(version_in("4.3.6-rc.1", classic) == 2U);
    CHECK_FALSE(version_in("4.0.5", "rabbit_stream_queue"));
    for (const auto* unknown : {"", "x", "0.0.0"}) {
        CHECK_FALSE(version_in(unknown, classic));
    }
}

TEST_CASE("names that only U+FFFD makes equal get no statistics") {
    const auto vhosts = inventory(
        {a_vhost("/"), a_queue("/", "\xfe"), a_queue("/", "\xff"), a_queue("/", "\xc3\xa4")},
        {statistics("/", "\xef\xbf\xbd", 1), statistics("/", "\xef\xbf\xbd", 2),
         statistics("/", "\xc3\xa4", 3)});
    REQUIRE(vhosts[0].queues.size() == 3);
    CHECK(vhosts[0].queues[0].statistics.ready == 3U);
    CHECK(vhosts[0].queues[1].statistics.name == "\xef\xbf\xbd");
    CHECK_FALSE(vhosts[0].queues[1].statistics.ready);
    CHECK_FALSE(vhosts[0].queues[2].statistics.ready);
}
