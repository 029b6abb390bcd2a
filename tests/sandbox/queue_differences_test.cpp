#include "sidecar/sandbox/queue_differences.hpp"

#include <catch2/catch.hpp>

using namespace hot_backup;
using namespace std::chrono_literals;

namespace {

const Timestamp instant{std::chrono::hours(500'000)};

StoredQueue stored(const std::string& name, const std::string& type, QueueStatistics statistics) {
    statistics.vhost = "/";
    statistics.name = name;
    return {type, std::nullopt, statistics};
}

QueueStatistics counted(std::uint64_t ready, std::uint64_t unacknowledged) {
    QueueStatistics statistics;
    statistics.ready = ready;
    statistics.unacknowledged = unacknowledged;
    statistics.idle_since = 1;
    return statistics;
}

ServedQueue served(const std::string& name, const std::string& type, std::uint64_t ready,
                   std::uint64_t unacknowledged = 0) {
    ServedQueue queue;
    queue.vhost = "/";
    queue.name = name;
    queue.type = type;
    queue.state = "running";
    queue.ready = ready;
    queue.unacknowledged = unacknowledged;
    return queue;
}

ServedQueue served_stream(const std::string& name, std::optional<std::uint64_t> first,
                          std::optional<std::uint64_t> last) {
    ServedQueue queue = served(name, "stream", 0);
    queue.ready = queue.unacknowledged = std::nullopt;
    queue.directory = "__" + name;
    queue.first_offset = first;
    queue.last_offset = last;
    return queue;
}

struct Compared {
    QueueTotals totals;
    std::vector<Difference> differences;
};

Compared compare(ExpectedQueues expected, const std::vector<ServedNode>& nodes) {
    for (auto& node : expected.nodes) {
        node.counted = instant;
    }
    Compared compared;
    compared.totals = find_queue_differences(
        expected, nodes, [&](Difference found) { compared.differences.push_back(found); });
    return compared;
}

Compared compare(const ExpectedQueues& expected, const std::vector<ServedQueue>& queues) {
    return compare(expected, {{ServedNode{"rabbit@a", queues}}});
}

// Of a backup of one node.
ExpectedQueues of_node() {
    ExpectedQueues expected;
    expected.nodes = {{"rabbit@a", {}, {}, {}}};
    return expected;
}

}  // namespace

TEST_CASE("another number of messages is a finding where the node had not written for a while") {
    auto expected = of_node();
    expected.vhosts = {
        {"/", {stored("c", "classic", counted(5, 2)), stored("q", "quorum", counted(3, 1))}}};
    const std::vector queues{served("c", "classic", 7), served("q", "quorum", 3)};
    expected.nodes[0].last_writes = {{{{"/", "c"}, instant - 10s}}, instant - 11s};
    const auto quiet = compare(expected, queues);
    REQUIRE(quiet.differences.size() == 1);
    CHECK(to_text(quiet.differences[0]) ==
          R"(queue "q" in vhost "/": messages: expected 4, found 3)");
    CHECK(quiet.totals.queues == 2);
    CHECK(quiet.totals.messages == 10);

    expected.nodes[0].last_writes.quorum = instant - 9s;
    const auto busy = compare(expected, queues);
    REQUIRE(busy.differences.size() == 1);
    CHECK_FALSE(busy.differences[0].excuse.empty());
    // Nor does it excuse one classic queue that another one was busy.
    expected.nodes[0].last_writes = {{{{"/", "c"}, instant - 1s}, {{"/", "other"}, instant - 1s}},
                                     {}};
    CHECK(compare(expected, queues).differences[0].excuse.empty());
    const std::vector lost{served("c", "classic", 6)};
    CHECK_FALSE(compare(expected, lost).differences[0].excuse.empty());
    expected.nodes[0].last_writes.classic[{"/", "c"}] = instant - 10s;
    CHECK(compare(expected, lost).differences[0].excuse.empty());
    // What it has not written yet, no file shows.
    expected.vhosts[0].queues[0].statistics.idle_since = std::nullopt;
    CHECK_FALSE(compare(expected, lost).differences[0].excuse.empty());
}

TEST_CASE("messages that do not survive a restart are not expected") {
    auto expected = of_node();
    auto statistics = counted(10, 0);
    statistics.persistent = 4;
    expected.vhosts = {{"/", {stored("c", "classic", statistics)}}};
    CHECK(compare(expected, {served("c", "classic", 4)}).differences.empty());
    CHECK(compare(expected, {served("c", "classic", 10)}).differences.size() == 1);
}

TEST_CASE("a queue that does not run is a finding, one without a count is not") {
    auto expected = of_node();
    expected.vhosts = {
        {"/", {stored("down", "classic", counted(1, 0)), stored("new", "quorum", {})}}};
    auto down = served("down", "classic", 0);
    down.state = "crashed";
    const auto compared =
        compare(expected, {down, served("new", "quorum", 3), served("unknown", "classic", 1)});
    REQUIRE(compared.differences.size() == 1);
    CHECK(to_text(compared.differences[0]) ==
          R"(queue "down" in vhost "/": state: expected "running", found "crashed")");
    CHECK(compared.totals.uncounted == 1);
    CHECK(compared.totals.queues == 2);
}

TEST_CASE("a stream has the offsets of its files") {
    auto expected = of_node();
    expected.vhosts = {{"/", {stored("s", "stream", counted(1, 0)), stored("e", "stream", {})}}};
    expected.nodes[0].streams = {{"__s", StreamOffsets{5, 14}}, {"__e", std::nullopt}};
    const auto check = [&](std::optional<std::uint64_t> first, std::optional<std::uint64_t> last) {
        return compare(expected, {served_stream("s", first, last), served_stream("e", {}, {})})
            .differences;
    };
    CHECK(check(5, 14).empty());
    CHECK(to_text(check(5, 13).at(0)) ==
          R"(queue "s" in vhost "/": last_offset: expected 14, found 13)");
    CHECK(to_text(check(6, 14).at(0)) ==
          R"(queue "s" in vhost "/": first_offset: expected 5, found 6)");
    CHECK(check({}, {}).size() == 2);
    expected.nodes[0].streams.erase("__s");
    CHECK(to_text(check(5, 14).at(0)) ==
          R"(queue "s" in vhost "/": directory: expected "__s", found none)");
}

TEST_CASE("a queue whose nodes the backup does not have is no finding when it does not run") {
    auto expected = of_node();
    expected.vhosts = {
        {"/", {stored("c", "classic", counted(1, 0)), stored("q", "quorum", counted(1, 0))}}};
    auto classic = served("c", "classic", 0);
    classic.state = "down";
    classic.nodes = {"rabbit@b"};
    auto quorum = served("q", "quorum", 0);
    quorum.state = "no_leader";
    quorum.nodes = {"rabbit@a", "rabbit@b"};
    const auto found = compare(expected, {classic, quorum});
    REQUIRE(found.differences.size() == 2);
    CHECK(found.differences[0].excuse == "too few of its nodes are in the backup: rabbit@b");
    CHECK_FALSE(found.differences[1].excuse.empty());
    CHECK(found.totals.out_of_reach == 2);
    // Most of them are enough.
    quorum.nodes = {"rabbit@a"};
    CHECK(compare(expected, {quorum}).differences.at(0).excuse.empty());
}

TEST_CASE("of a cluster each count is that of the node that had counted, and its own rest") {
    ExpectedQueues expected;
    expected.vhosts = {
        {"/", {stored("c", "classic", counted(5, 0)), stored("q", "quorum", counted(3, 0))}}};
    expected.nodes = {{"rabbit@a", {}, {}, {}}, {"rabbit@b", {}, {}, {}}};
    expected.counted_by = {{{"/", "c"}, "rabbit@b"}, {{"/", "q"}, "rabbit@a"}};
    const auto check = [&] {
        return compare(
            expected,
            {{ServedNode{"rabbit@a", {served("c", "classic", 4), served("q", "quorum", 2)}}}});
    };
    const auto quiet = check();
    REQUIRE(quiet.differences.size() == 2);
    CHECK(to_text(quiet.differences[0]) ==
          R"(queue "c" in vhost "/" on rabbit@b: messages: expected 5, found 4)");
    CHECK(quiet.differences[0].excuse.empty());
    CHECK(quiet.differences[1].excuse.empty());
    CHECK(quiet.totals.nodes.at("rabbit@b").messages == 4);
    CHECK(quiet.totals.nodes.at("rabbit@a").queues == 1);
    // Quorum queues share the logs of all nodes, a classic queue is on one.
    expected.nodes[1].last_writes.quorum = instant - 1s;
    CHECK(check().differences[0].excuse.empty());
    CHECK_FALSE(check().differences[1].excuse.empty());
    expected.nodes[1].last_writes.classic[{"/", "c"}] = instant - 1s;
    CHECK_FALSE(check().differences[0].excuse.empty());
}

TEST_CASE("a stream of a cluster ends where most of its replicas have come to") {
    ExpectedQueues expected;
    expected.vhosts = {{"/", {stored("s", "stream", counted(1, 0))}}};
    const auto check = [&](const std::vector<std::optional<StreamOffsets>>& files,
                           const std::vector<std::optional<StreamOffsets>>& offsets) {
        expected.nodes.clear();
        std::vector<ServedNode> nodes;
        for (std::size_t n = 0; n < files.size(); ++n) {
            const auto name = "rabbit@" + std::to_string(n);
            expected.nodes.push_back({name, {{"__s", files[n]}}, {}, {}});
            auto queue = served_stream("s", {}, {});
            if (offsets[n]) {
                queue.first_offset = offsets[n]->first;
                queue.last_offset = offsets[n]->last;
            } else {
                queue.state = "down";
            }
            nodes.push_back({name, {queue}});
        }
        std::vector<std::string> found;
        for (const auto& difference : compare(expected, nodes).differences) {
            found.push_back(difference.aspect + difference.node);
        }
        return found;
    };
    using Found = std::vector<std::string>;
    const StreamOffsets full{0, 9};
    CHECK(check({full, full, full}, {full, full, full}).empty());
    CHECK(check({full, full, full}, {full, {}, full}) == Found{"staterabbit@1"});
    CHECK(check({full, full, full}, {{{0, 8}}, {{0, 8}}, {{0, 8}}}) == Found{"last_offset"});
    // What one of three has was not confirmed, and may stay or go.
    CHECK(check({{{0, 12}}, full, full}, {full, full, full}).empty());
    CHECK(check({{{0, 12}}, full, full}, {{{0, 12}}, {{0, 12}}, {{0, 12}}}).empty());
    CHECK(check({{{0, 12}}, full, full}, {{{0, 13}}, {{0, 13}}, {{0, 13}}}) ==
          Found{"last_offset"});
    CHECK(check({full, full, {{0, 2}}}, {{{0, 8}}, {{0, 8}}, {{0, 8}}}) == Found{"last_offset"});
    // Each begins where it did, but for one that is filled anew.
    CHECK(check({full, {{3, 9}}, full}, {full, {{3, 9}}, full}).empty());
    CHECK(check({full, {{3, 9}}, full}, {full, full, full}) == Found{"first_offsetrabbit@1"});
    CHECK(check({{{5, 9}}, {{5, 9}}, {{0, 2}}}, {{{5, 9}}, {{5, 9}}, {{5, 9}}}).empty());
    CHECK(check({full, full, std::nullopt}, {full, full, full}).empty());
    // None runs.
    CHECK(check({full, full, full}, {{}, {}, {}}) == Found{"state"});
}
