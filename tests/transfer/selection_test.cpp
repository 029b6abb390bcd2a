#include "sidecar/transfer/selection.hpp"

#include "erlang_port/error.hpp"
#include "tests/definitions/snapshot_builder.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

namespace {

using namespace snapshot_builder;
using hot_backup::Selection;

std::vector<std::string> choose(const Selection& selection) {
    const auto stored = [](const char* vhost, const char* name) {
        return in_table("rabbit_durable_queue", queue(vhost, name));
    };
    MemorySource source(chunk({stored("/", "orders.a"), stored("/", "orders.b"),
                               stored("/", "orders.*"), stored("/", "mail"), stored("a/b", "c"),
                               stored("a", "b/c"), stored("v", "caf\xE9")}));
    hot_backup::Snapshot snapshot(source, hot_backup::SnapshotIndex::scan(source));
    const auto chosen = hot_backup::choose_queues(snapshot, selection);
    std::vector<std::string> names;
    for (const auto& queue : chosen.queues) {
        names.push_back(queue.vhost + " " + queue.name);
    }
    for (const auto& queue : chosen.left_out) {
        names.push_back("left out " + queue.queue.vhost);
    }
    return names;
}

using Names = std::vector<std::string>;

TEST_CASE("queues are chosen by name, pattern, vhost, or all") {
    CHECK(choose({.queues = {"//mail"}, .vhosts = {}}) == Names{"/ mail"});
    CHECK(choose({.queues = {"//orders.?"}, .vhosts = {}}) ==
          Names{"/ orders.*", "/ orders.a", "/ orders.b"});
    CHECK(choose({.queues = {"//mail", "//orders.[ab]"}, .vhosts = {}}) ==
          Names{"/ mail", "/ orders.a", "/ orders.b"});
    CHECK(choose({.queues = {}, .vhosts = {"a/b"}}) == Names{"a/b c"});
    CHECK(choose({.queues = {"//mail"}, .vhosts = {"a/b"}}) == Names{"/ mail", "a/b c"});
    CHECK(
        choose({.queues = {}, .vhosts = {}, .all = true}) ==
        Names{"/ mail", "/ orders.*", "/ orders.a", "/ orders.b", "a b/c", "a/b c", "left out v"});
}

TEST_CASE("a name to the letter comes before the pattern that it is") {
    CHECK(choose({.queues = {"//orders.*"}, .vhosts = {}}) == Names{"/ orders.*"});
    CHECK(choose({.queues = {"//orders.\\*"}, .vhosts = {}}) == Names{"/ orders.*"});
}

TEST_CASE("slashes may be anybody's") {
    CHECK(choose({.queues = {"a/b/c"}, .vhosts = {}}) == Names{"a b/c", "a/b c"});
}

TEST_CASE("what matches nothing is wrong usage") {
    for (const Selection& selection :
         {Selection{{"//missing"}, {}, false}, Selection{{"//mail", "x*"}, {}, false},
          Selection{{}, {"nowhere"}, false}, Selection{{"mail"}, {}, false}}) {
        try {
            choose(selection);
            FAIL("chosen");
        } catch (const hot_backup::Error& error) {
            CHECK(error.code() == hot_backup::ErrorCode::usage);
        }
    }
}

}  // namespace
