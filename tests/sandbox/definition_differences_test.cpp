#include "sidecar/sandbox/definition_differences.hpp"

#include "tests/definitions/snapshot_builder.hpp"

#include <catch2/catch.hpp>

#include <algorithm>

using namespace hot_backup;
using namespace snapshot_builder;

namespace {

std::string snapshot_of(std::vector<Term> users, std::vector<Term> queues,
                        std::vector<Term> routes) {
    std::string bytes;
    const auto add = [&](std::string_view table, const std::vector<Term>& records) {
        std::vector<Term> items;
        for (const auto& record : records) {
            items.push_back(in_table(table, record));
        }
        bytes += chunk(items);
    };
    add("rabbit_user", std::move(users));
    add("rabbit_durable_queue", std::move(queues));
    add("rabbit_durable_route", std::move(routes));
    return bytes;
}

struct Compared {
    DefinitionCounts counts;
    std::vector<std::string> differences;
};

Compared compare(const std::string& expected, const std::string& found) {
    MemorySource expected_source(expected);
    MemorySource found_source(found);
    Snapshot before(expected_source, SnapshotIndex::scan(expected_source));
    Snapshot after(found_source, SnapshotIndex::scan(found_source));
    Compared compared;
    compared.counts = find_definition_differences(
        before, after, "3.10.8",
        [&](const Difference& found_one) { compared.differences.push_back(to_text(found_one)); });
    std::ranges::sort(compared.differences);
    return compared;
}

Term argument(std::string_view name, std::uint64_t value) {
    return erlang::list(
        {erlang::tuple({erlang::binary(name), erlang::atom("long"), erlang::integer(value)})});
}

}  // namespace

TEST_CASE("the same definitions in another order do not differ") {
    const auto first = queue("/", "a");
    const auto second = queue("/", "b", argument("x-max-length", 5));
    const auto compared =
        compare(snapshot_of({user("u")}, {first, second}, {route(binding("/", "e", "a", "k"))}),
                snapshot_of({user("u")}, {second, first}, {route(binding("/", "e", "a", "k"))}));
    CHECK(compared.differences.empty());
    CHECK(compared.counts == DefinitionCounts{{"users", 1}, {"queues", 2}, {"bindings", 1}});
}

TEST_CASE("each definition that is missing, should not be there or has changed is told") {
    const auto compared = compare(
        snapshot_of({user("gone"), user("stays")},
                    {queue("/", "q", argument("x-max-length", 5)), queue("v", "q")},
                    {route(binding("/", "e", "q", "one")), route(binding("/", "e", "q", "two"))}),
        snapshot_of({user("stays"), user("new")},
                    {queue("/", "q", argument("x-max-length", 6)), queue("v", "q")},
                    {route(binding("/", "e", "q", "two")),
                     route(binding("/", "e", "q", "two", argument("x", 1)))}));
    REQUIRE(compared.differences.size() == 5);
    CHECK(compared.differences[0] ==
          R"x(binding "e -> queue q (one)" in vhost "/": definition: expected )x"
          R"x({"arguments":{},"destination":"q","destination_type":"queue","routing_key":"one",)x"
          R"x("source":"e","vhost":"/"}, found none)x");
    CHECK(compared.differences[1].starts_with(
        R"x(binding "e -> queue q (two) {"x":1}" in vhost "/": definition: expected none, found )x"));
    CHECK(compared.differences[2] ==
          R"x(queue "q" in vhost "/": definition: expected {"arguments":{"x-max-length":5}}, )x"
          R"x(found {"arguments":{"x-max-length":6}})x");
    CHECK(compared.differences[3].starts_with(R"x(user "gone": definition: expected {)x"));
    CHECK(compared.differences[4].starts_with(R"x(user "new": definition: expected none, )x"));
}
