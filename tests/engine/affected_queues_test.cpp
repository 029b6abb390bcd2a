// What missing nodes mean for queues, from records as RabbitMQ has them.
#include "sidecar/engine/affected_queues.hpp"

#include "tests/definitions/snapshot_builder.hpp"

#include <catch2/catch.hpp>

using namespace hot_backup;
using namespace snapshot_builder;
using erlang::atom;
using erlang::binary;
using erlang::list;
using erlang::map;
using erlang::tuple;

namespace {

constexpr std::size_t durable = 2;
constexpr std::size_t owner = 4;
constexpr std::size_t process = 6;
constexpr std::size_t recoverable_mirrors = 9;
constexpr std::size_t type = 19;
constexpr std::size_t type_state = 20;

// Of a node with a short name, as OTP 23 and later send it.
Term pid_on(std::string_view node) {
    std::string external = "Xw";
    external += static_cast<char>(node.size());
    external += node;
    external += std::string("\0\0\0\1\0\0\0\2\0\0\0\3", 12);
    return erlang::Opaque{erlang::Opaque::Kind::pid, external};
}

Term nodes(const std::vector<std::string_view>& names) {
    std::vector<Term> atoms;
    for (const auto name : names) {
        atoms.push_back(atom(name));
    }
    return list(std::move(atoms));
}

Term classic(std::string_view name, std::string_view leader,
             const std::vector<std::string_view>& mirrors = {}) {
    return with(with(in_table("rabbit_durable_queue", queue("/", name)), process, pid_on(leader)),
                recoverable_mirrors, nodes(mirrors));
}

Term replicated(std::string_view name, std::string_view module, Term leader, Term members) {
    return with(
        with(with(in_table("rabbit_durable_queue", queue("/", name)), process, std::move(leader)),
             type, atom(module)),
        type_state, map({{"nodes", std::move(members)}}));
}

Term quorum(std::string_view name, std::string_view leader,
            const std::vector<std::string_view>& members) {
    return replicated(name, "rabbit_quorum_queue", tuple({atom("%2F_q"), atom(leader)}),
                      nodes(members));
}

std::vector<AffectedQueue> affected(const std::vector<Term>& records,
                                    const std::vector<std::string>& missing) {
    MemorySource source(chunk(records));
    Snapshot snapshot(source, SnapshotIndex::scan(source));
    return affected_queues(snapshot, missing);
}

std::string effect(const Term& record, const std::vector<std::string>& missing) {
    const auto found = affected({record}, missing);
    return found.empty() ? "none" : found.at(0).effect;
}

}  // namespace

TEST_CASE("a queue is affected when a member of it is missing") {
    const auto found = affected({classic("here", "a@h"), classic("there", "c@h"),
                                 quorum("three", "b@h", {"a@h", "b@h", "c@h"})},
                                {"c@h"});
    REQUIRE(found.size() == 2);
    CHECK(found[0] == AffectedQueue{.vhost = "/",
                                    .name = "there",
                                    .type = "classic",
                                    .leader = "c@h",
                                    .members = {"c@h"},
                                    .present = 0,
                                    .effect = "lost"});
    CHECK(found[1] == AffectedQueue{.vhost = "/",
                                    .name = "three",
                                    .type = "quorum",
                                    .leader = "b@h",
                                    .members = {"b@h", "a@h", "c@h"},
                                    .present = 2,
                                    .effect = "degraded"});
    const auto terms = map({{"affected", to_term(found)}});
    CHECK(read_affected(MapFields("prepared", *terms.as<erlang::Map>())) == found);
}

TEST_CASE("what it means depends on who is left") {
    CHECK(effect(quorum("q", "a@h", {"a@h", "b@h", "c@h"}), {"b@h", "c@h"}) == "no_quorum");
    CHECK(effect(quorum("q", "a@h", {"a@h", "b@h"}), {"b@h"}) == "no_quorum");
    CHECK(effect(quorum("q", "a@h", {"a@h", "b@h"}), {"a@h", "b@h"}) == "lost");
    CHECK(effect(quorum("q", "a@h", {"a@h"}), {"b@h"}) == "none");
    // From 4.2 on the members of a quorum queue are the keys of a map.
    CHECK(
        effect(replicated("q", "rabbit_quorum_queue", tuple({atom("q"), atom("a@h")}),
                          map({{"a@h", binary("1")}, {"b@h", binary("2")}, {"c@h", binary("3")}})),
               {"c@h"}) == "degraded");
    CHECK(effect(replicated("s", "rabbit_stream_queue", pid_on("a@h"), nodes({"a@h", "b@h"})),
                 {"a@h"}) == "no_quorum");
    // Mirrors have no say, and what they have nobody knows.
    CHECK(effect(classic("m", "a@h", {"b@h", "c@h"}), {"b@h", "c@h"}) == "degraded");
    CHECK(effect(classic("m", "a@h", {"b@h", "c@h"}), {"a@h"}) == "no_quorum");
    CHECK(effect(classic("m", "a@h", {"b@h"}), {"a@h", "b@h"}) == "lost");
}

TEST_CASE("what is in no backup, or is not known, is not affected") {
    CHECK(effect(with(classic("q", "c@h"), durable, atom("false")), {"c@h"}) == "none");
    CHECK(effect(with(classic("q", "c@h"), owner, some_pid()), {"c@h"}) == "none");
    CHECK(effect(with(classic("q", "c@h"), process, atom("none")), {"c@h"}) == "none");
    CHECK(affected({in_table("rabbit_durable_queue", tuple({atom("amqqueue"), atom("odd")})),
                    classic("q", "c@h")},
                   {"c@h"})
              .size() == 1);
}
