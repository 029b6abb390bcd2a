// The replay: what stands after records, corrections and everything that can be wrong with the
// bytes.
#include "sidecar/definitions/snapshot_reader.hpp"

#include "erlang_port/error.hpp"
#include "tests/definitions/snapshot_builder.hpp"

#include <catch2/catch.hpp>

#include <random>
#include <string>
#include <utility>
#include <vector>

using namespace hot_backup;
using namespace snapshot_builder;
using erlang::atom;
using erlang::binary;
using erlang::integer;
using erlang::list;
using erlang::map;
using erlang::tuple;

namespace {

constexpr auto table = "rabbit_vhost";

// A virtual host whose limits say which version of the record it is.
Term version(std::string_view name, std::string_view text) {
    return with(in_table(table, vhost(name)), 2, binary(text));
}

std::vector<std::string> standing(const std::string& bytes, std::size_t piece = 1 << 20) {
    MemorySource source(bytes, piece);
    Snapshot snapshot(source, SnapshotIndex::scan(source));
    std::vector<std::string> found;
    snapshot.for_each(Category::vhosts, [&](const Term& record) {
        found.push_back(record.element(1)->as<erlang::Binary>()->bytes + "=" +
                        record.element(2)->as<erlang::Binary>()->bytes);
    });
    return found;
}

using Strings = std::vector<std::string>;

}  // namespace

TEST_CASE("records without corrections stand in the order of the file") {
    CHECK(standing(chunk({version("b", "1")}) + chunk({version("a", "1"), version("c", "1")})) ==
          Strings{"b=1", "a=1", "c=1"});
}

TEST_CASE("a correction replaces the newer record by the one of the instant") {
    CHECK(standing(chunk({version("a", "new"), version("b", "1")}) +
                   chunk({deletion(table, binary("a")), version("a", "old")})) ==
          Strings{"b=1", "a=old"});
}

TEST_CASE("a deletion without a record removes what was inserted after the instant") {
    CHECK(standing(chunk({version("a", "new"), version("b", "1")}) +
                   chunk({deletion(table, binary("a"))})) == Strings{"b=1"});
}

TEST_CASE("a correction brings back what was deleted after the instant") {
    CHECK(standing(chunk({version("b", "1")}) +
                   chunk({deletion(table, binary("a")), version("a", "old")})) ==
          Strings{"b=1", "a=old"});
}

TEST_CASE("the last of several corrections counts") {
    CHECK(standing(chunk({version("a", "newer"), deletion(table, binary("a")), version("a", "new"),
                          deletion(table, binary("a")), version("a", "old")})) == Strings{"a=old"});
}

TEST_CASE("a record before and a deletion after it in one chunk") {
    CHECK(standing(chunk({version("a", "1"), deletion(table, binary("a"))})).empty());
}

TEST_CASE("several records under one key, as a bag has them, stand and fall together") {
    CHECK(standing(chunk({version("a", "1"), version("a", "2"), version("b", "1")})) ==
          Strings{"a=1", "a=2", "b=1"});
    CHECK(standing(chunk({version("a", "new"), version("a", "2"), version("b", "1"),
                          deletion(table, binary("a")), version("a", "1"), version("a", "2")})) ==
          Strings{"b=1", "a=1", "a=2"});
}

TEST_CASE("a deletion concerns its own table only") {
    CHECK(standing(chunk({version("a", "1"), deletion("rabbit_user", binary("a"))})) ==
          Strings{"a=1"});
}

TEST_CASE("keys are told apart by all of their bytes") {
    const auto key = [](std::string_view name) {
        return tuple({binary("/"), binary("policy"), binary(name)});
    };
    MemorySource source(
        chunk({in_table("rabbit_runtime_parameters", parameter("/", "policy", "p", list({}))),
               in_table("rabbit_runtime_parameters", parameter("/", "policy", "pp", list({}))),
               deletion("rabbit_runtime_parameters", key("pp"))}));
    Snapshot snapshot(source, SnapshotIndex::scan(source));
    std::vector<Term> keys;
    snapshot.for_each(Category::policies,
                      [&](const Term& record) { keys.push_back(*record.element(1)); });
    CHECK(keys == std::vector<Term>{key("p")});
}

TEST_CASE("the source may cut the bytes anywhere") {
    const auto bytes = chunk({version("a", "new"), version("b", "1")}) +
                       chunk({deletion(table, binary("a")), version("a", "old")});
    for (std::size_t piece = 1; piece <= bytes.size(); ++piece) {
        CHECK(standing(bytes, piece) == Strings{"b=1", "a=old"});
    }
}

TEST_CASE("an index filled while the chunks stream by is that of the file") {
    const std::vector<Term> first = {version("a", "new"), version("b", "1")};
    const std::vector<Term> second = {deletion(table, binary("a"))};
    SnapshotIndex index;
    index.add(payload(first));
    index.add(payload(second));
    CHECK(index.items() == 3);
    CHECK(index.counts()[Category::vhosts] == 1);
    MemorySource source(chunk(first) + chunk(second));
    Snapshot snapshot(source, index);
    std::size_t standing_records = 0;
    snapshot.for_each(Category::vhosts, [&](const Term&) { ++standing_records; });
    CHECK(standing_records == 1);
}

TEST_CASE("what stands is counted by category") {
    MemorySource source(
        chunk({tuple({atom("log_header"), atom("backup_log"), list({})}),
               tuple({atom("schema"), atom("rabbit_user"), list({})})}) +
        chunk({in_table("rabbit_user", user("a")), in_table("rabbit_user", user("b"))}) +
        chunk({deletion("rabbit_user", binary("a"))}) +
        chunk({in_table("rabbit_runtime_parameters", global_parameter("g", list({}))),
               in_table("rabbit_runtime_parameters", parameter("/", "policy", "p", list({}))),
               in_table("rabbit_runtime_parameters", parameter("/", "shovel", "s", list({}))),
               tuple({atom("a_plugins_table"), binary("key"), binary("value")})}));
    const auto counts = SnapshotIndex::scan(source).counts();
    CHECK(counts[Category::users] == 1);
    CHECK(counts[Category::global_parameters] == 1);
    CHECK(counts[Category::policies] == 1);
    CHECK(counts[Category::parameters] == 1);
    CHECK(counts[Category::other] == 1);
}

TEST_CASE("what ends with its connection or its node is not counted") {
    const auto stored_queue = [](std::string_view name, Term record) {
        return put({":rabbitmq", ":vhosts", "/", ":queues", name}, std::move(record));
    };
    const auto transient = with(queue("/", "transient"), 2, atom("false"));
    const auto exclusive = with(queue("/", "exclusive"), 4, some_pid());
    MemorySource khepri(
        chunk({stored_queue("q", queue("/", "q")), stored_queue("transient", transient),
               stored_queue("exclusive", exclusive)}));
    CHECK(SnapshotIndex::scan(khepri).counts()[Category::queues] == 1);

    const auto stored = "rabbit_durable_queue";
    MemorySource mnesia(chunk({in_table(stored, queue("/", "q")), in_table(stored, exclusive)}) +
                        chunk({deletion(stored, resource("/", "queue", "exclusive")),
                               in_table(stored, exclusive)}));
    CHECK(SnapshotIndex::scan(mnesia).counts()[Category::queues] == 1);

    MemorySource exchanges(chunk(
        {in_table("rabbit_durable_exchange", exchange("/", "x")),
         in_table("rabbit_durable_exchange", with(exchange("/", "transient"), 3, atom("false")))}));
    CHECK(SnapshotIndex::scan(exchanges).counts()[Category::exchanges] == 1);
}

TEST_CASE("what is counted while chunks stream by is what the replay hands out") {
    std::mt19937 random(20261122);
    const auto below = [&](unsigned limit) { return static_cast<unsigned>(random() % limit); };
    const auto key = [&] { return std::string(1, static_cast<char>('a' + below(6))); };
    for (int round = 0; round < 1'000; ++round) {
        std::string bytes;
        for (const bool users : {true, false}) {
            const std::string name = users ? "rabbit_user" : "rabbit_vhost";
            std::vector<Term> items;
            for (unsigned n = below(30); n > 0; --n) {
                const auto record = users ? user(key()) : vhost(key());
                items.push_back(below(2) == 0 ? deletion(name, binary(key()))
                                              : in_table(name, record));
                if (below(5) == 0) {
                    bytes += chunk(std::exchange(items, {}));
                }
            }
            bytes += chunk(items);
        }
        MemorySource source(bytes);
        const auto index = SnapshotIndex::scan(source);
        Snapshot snapshot(source, index);
        for (const auto category : {Category::users, Category::vhosts}) {
            std::uint64_t standing_records = 0;
            snapshot.for_each(category, [&](const Term&) { ++standing_records; });
            REQUIRE(index.counts()[category] == standing_records);
        }
    }
}

TEST_CASE("a Khepri export is read by what its nodes hold") {
    const erlang::Map two_bindings{
        {{binding("v", "x", "q1", "k"), list({})}, {binding("v", "x", "q2", "k"), list({})}}};
    MemorySource source(chunk(
        {tuple({atom("put"), list({atom("rabbitmq")}), tuple({atom("p_none")}), map({})}),
         put({":rabbitmq", ":users", "u"}, user("u")),
         put({":rabbitmq", ":vhosts", "v"}, vhost("v")),
         put({":rabbitmq", ":vhosts", "v", ":exchanges", "x"}, exchange("v", "x")),
         put({":rabbitmq", ":vhosts", "v", ":exchanges", "x", ":serial"}, integer(3)),
         put({":rabbitmq", ":vhosts", "v", ":exchanges", "x", ":bindings", ":queue", "q", "k"},
             two_bindings),
         put({":rabbitmq", ":vhosts", "v", ":queues", "q1"}, queue("v", "q1")),
         put({":rabbitmq", ":vhosts", "v", ":runtime_params", "policy", "p"},
             parameter("v", "policy", "p", list({}))),
         put({":rabbitmq", ":runtime_params", ":cluster_name"},
             global_parameter("cluster_name", binary("c"))),
         put({":rabbitmq", ":node_maintenance", ":rabbit@host"}, atom("regular"))}));
    const auto index = SnapshotIndex::scan(source);
    const auto& counts = index.counts();
    Snapshot snapshot(source, index);
    CHECK(counts[Category::users] == 1);
    CHECK(counts[Category::vhosts] == 1);
    CHECK(counts[Category::exchanges] == 1);
    CHECK(counts[Category::queues] == 1);
    CHECK(counts[Category::policies] == 1);
    CHECK(counts[Category::global_parameters] == 1);
    CHECK(counts[Category::bindings] == 2);
    CHECK(counts[Category::other] == 2);
    std::vector<Term> bindings;
    snapshot.for_each(Category::bindings, [&](const Term& term) { bindings.push_back(term); });
    CHECK(bindings ==
          std::vector<Term>{binding("v", "x", "q1", "k"), binding("v", "x", "q2", "k")});
}

TEST_CASE("an empty file is an empty snapshot") {
    CHECK(standing("").empty());
    CHECK(standing(chunk({})).empty());
}

TEST_CASE("a file cut off anywhere but between chunks is damaged") {
    const auto first = chunk({version("a", "1")});
    const auto bytes = first + chunk({version("b", "1"), deletion(table, binary("a"))});
    for (std::size_t length = 1; length < bytes.size(); ++length) {
        MemorySource source(bytes.substr(0, length), 7);
        if (length == first.size()) {
            CHECK(SnapshotIndex::scan(source).items() == 1);
            continue;
        }
        CHECK_THROWS_MATCHES(SnapshotIndex::scan(source), Error,
                             Catch::Predicate<Error>([](const Error& error) {
                                 return error.code() == ErrorCode::damaged;
                             }));
    }
}

TEST_CASE("damage is named with the chunk's offset") {
    const auto first = chunk({version("a", "1")});
    const auto scan = [&](const std::string& rest) {
        MemorySource source(first + rest);
        SnapshotIndex::scan(source);
    };
    const auto at = "in the chunk at byte " + std::to_string(first.size());
    using Catch::Contains;
    CHECK_THROWS_WITH(scan("\x01"), Contains(at) && Contains("cut off"));
    CHECK_THROWS_WITH(scan({"\x7F\0\0\0", 4}), Contains(at) && Contains("claims 2130706432 bytes"));
    CHECK_THROWS_WITH(scan({"\0\0\0\x02\x83\xFF", 6}), Contains(at));
    CHECK_THROWS_WITH(scan(chunk({atom("lonely")})), Contains(at) && Contains("an item"));
    CHECK_THROWS_WITH(scan(chunk({tuple({})})), Contains(at));
    CHECK_THROWS_WITH(scan(chunk({tuple({atom("rabbit_user")})})), Contains(at));
    CHECK_THROWS_WITH(scan(chunk({tuple({binary("rabbit_user"), binary("u")})})), Contains(at));
    CHECK_THROWS_WITH(scan(chunk({list({atom("rabbit_user"), binary("u")})})), Contains(at));
}

TEST_CASE("no single changed byte does harm beyond an error") {
    const auto bytes = chunk(
        {in_table("rabbit_vhost", vhost("v")), in_table("rabbit_durable_queue", queue("v", "q")),
         in_table("rabbit_durable_route", route(binding("v", "x", "q", "k"))),
         in_table("rabbit_runtime_parameters", parameter("/", "policy", "p", list({}))),
         put({":rabbitmq", ":vhosts", "v", ":exchanges", "x", ":bindings", ":queue", "q", "k"},
             erlang::Map{{{binding("v", "x", "q", "k"), list({})}}}),
         deletion("rabbit_vhost", binary("w"))});
    std::size_t errors = 0;
    for (std::size_t n = 0; n < bytes.size(); ++n) {
        for (const int flip : {0x01, 0x04, 0x20, 0x80, 0xFF}) {
            auto mutated = bytes;
            mutated[n] = static_cast<char>(mutated[n] ^ flip);
            MemorySource source(mutated);
            try {
                Snapshot snapshot(source, SnapshotIndex::scan(source));
                for (std::size_t c = 0; c < category_count; ++c) {
                    snapshot.for_each(static_cast<Category>(c), [](const Term&) {});
                }
            } catch (const Error&) {
                ++errors;
            }
        }
    }
    CHECK(errors > bytes.size());
}
