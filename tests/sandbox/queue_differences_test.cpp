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

Compared compare(ExpectedQueues expected, const std::vector<ServedQueue>& queues) {
    expected.counted = instant;
    Compared compared;
    compared.totals = find_queue_differences(
        expected, queues, [&](Difference found) { compared.differences.push_back(found); });
    return compared;
}

}  // namespace

TEST_CASE("another number of messages is a finding where the node had not written for a while") {
    ExpectedQueues expected;
    expected.vhosts = {
        {"/", {stored("c", "classic", counted(5, 2)), stored("q", "quorum", counted(3, 1))}}};
    const std::vector queues{served("c", "classic", 7), served("q", "quorum", 3)};
    expected.last_writes = {{{{"/", "c"}, instant - 10s}}, instant - 11s};
    const auto quiet = compare(expected, queues);
    REQUIRE(quiet.differences.size() == 1);
    CHECK(to_text(quiet.differences[0]) ==
          R"(queue "q" in vhost "/": messages: expected 4, found 3)");
    CHECK(quiet.totals.queues == 2);
    CHECK(quiet.totals.messages == 10);

    expected.last_writes.quorum = instant - 9s;
    const auto busy = compare(expected, queues);
    REQUIRE(busy.differences.size() == 1);
    CHECK_FALSE(busy.differences[0].excuse.empty());
    // Nor does it excuse one classic queue that another one was busy.
    expected.last_writes = {{{{"/", "c"}, instant - 1s}, {{"/", "other"}, instant - 1s}}, {}};
    CHECK(compare(expected, queues).differences[0].excuse.empty());
    const std::vector lost{served("c", "classic", 6)};
    CHECK_FALSE(compare(expected, lost).differences[0].excuse.empty());
    expected.last_writes.classic[{"/", "c"}] = instant - 10s;
    CHECK(compare(expected, lost).differences[0].excuse.empty());
    // What it has not written yet, no file shows.
    expected.vhosts[0].queues[0].statistics.idle_since = std::nullopt;
    CHECK_FALSE(compare(expected, lost).differences[0].excuse.empty());
}

TEST_CASE("messages that do not survive a restart are not expected") {
    ExpectedQueues expected;
    auto statistics = counted(10, 0);
    statistics.persistent = 4;
    expected.vhosts = {{"/", {stored("c", "classic", statistics)}}};
    CHECK(compare(expected, {served("c", "classic", 4)}).differences.empty());
    CHECK(compare(expected, {served("c", "classic", 10)}).differences.size() == 1);
}

TEST_CASE("a queue that does not run is a finding, one without a count is not") {
    ExpectedQueues expected;
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
    ExpectedQueues expected;
    expected.vhosts = {{"/", {stored("s", "stream", counted(1, 0)), stored("e", "stream", {})}}};
    expected.streams = {{"__s", StreamOffsets{5, 14}}, {"__e", std::nullopt}};
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
    expected.streams.erase("__s");
    CHECK(to_text(check(5, 14).at(0)) ==
          R"(queue "s" in vhost "/": directory: expected "__s", found none)");
}
