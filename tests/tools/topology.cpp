#include "tests/tools/topology.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <future>

namespace tools {

using harness::AmqpArray;
using harness::AmqpBytes;
using harness::AmqpClient;
using harness::AmqpDecimal;
using harness::AmqpTable;
using harness::AmqpTimestamp;
using harness::AmqpVoid;
using harness::Broker;
using harness::ExchangeOptions;
using harness::QueueOptions;
using nlohmann::json;

namespace {

// Most queues live in the first ones, as on a real broker; the last one stays empty.
const std::vector<std::string> all_vhosts{"/", "orders", "billing-eu", "Grüße/日本 \"1\"", "empty"};
constexpr std::array<std::size_t, 4> share{40, 30, 20, 10};  // of a hundred queues

constexpr std::size_t queues_per_exchange = 100;

json permission(const std::string& user, const std::string& vhost, const std::string& pattern) {
    return {{"user", user},
            {"vhost", vhost},
            {"configure", pattern},
            {"write", pattern},
            {"read", ".*"}};
}

json policy(const std::string& vhost, const std::string& name, const std::string& applies_to,
            int priority, const json& definition) {
    return {{"vhost", vhost},         {"name", name},         {"pattern", "^never-.*" + name},
            {"apply-to", applies_to}, {"priority", priority}, {"definition", definition}};
}

void add_vhost(json& definitions, const std::string& vhost, std::size_t number) {
    definitions["vhosts"].push_back({{"name", vhost},
                                     {"description", "for the tests: " + vhost},
                                     {"tags", {"test", "vhost-" + std::to_string(number)}}});
    definitions["permissions"].push_back(permission("guest", vhost, ".*"));
    definitions["permissions"].push_back(permission("application", vhost, "^app\\..*"));
    definitions["topic_permissions"].push_back({{"user", "application"},
                                                {"vhost", vhost},
                                                {"exchange", "amq.topic"},
                                                {"write", "^{username}\\..*"},
                                                {"read", ".*"}});
    definitions["policies"].push_back(
        policy(vhost, "länge", "queues", 1, {{"max-length", 1000000}, {"overflow", "drop-head"}}));
    definitions["policies"].push_back(
        policy(vhost, "alternate", "exchanges", 2, {{"alternate-exchange", "rest"}}));
    definitions["parameters"].push_back({{"vhost", vhost},
                                         {"component", "operator_policy"},
                                         {"name", "limit"},
                                         {"value",
                                          {{"pattern", "^never-.*"},
                                           {"apply-to", "queues"},
                                           {"priority", 0},
                                           {"definition", {{"message-ttl", 86400000}}}}}});
    definitions["parameters"].push_back({{"vhost", vhost},
                                         {"component", "vhost-limits"},
                                         {"name", "limits"},
                                         {"value", {{"max-connections", 5000}}}});
}

// What has no AMQP method, in the broker's own format for it.
json definitions_of_operators() {
    json definitions{{"vhosts", json::array()},      {"users", json::array()},
                     {"permissions", json::array()}, {"topic_permissions", json::array()},
                     {"policies", json::array()},    {"parameters", json::array()}};
    // RabbitMQ 3.8 takes no list of tags.
    const auto user = [&](const std::string& name, const std::string& tags, const json& limits) {
        definitions["users"].push_back(
            {{"name", name}, {"password", "secret"}, {"tags", tags}, {"limits", limits}});
    };
    user("guest", "administrator", json::object());
    definitions["users"].back()["password"] = "guest";
    user("application", "", {{"max-connections", 1000}, {"max-channels", 5000}});
    user("überwacher", "monitoring,policymaker", json::object());
    for (int n = 0; n < 20; ++n) {
        user("user-" + std::to_string(n), "impersonator", json::object());
    }
    for (std::size_t n = 0; n < all_vhosts.size(); ++n) {
        add_vhost(definitions, all_vhosts[n], n);
    }
    definitions["global_parameters"] =
        json::array({{{"name", "cluster_name"}, {"value", "throw-away"}},
                     {{"name", "site"}, {"value", {{"rack", 7}, {"name", "Köln"}}}}});
    return definitions;
}

AmqpTable arguments_of_every_type() {
    return {{"x-max-length", {std::int32_t{100000}}},
            {"x-message-ttl", {std::int64_t{3600000}}},
            {"x-void", {AmqpVoid{}}},
            {"x-bool", {true}},
            {"x-i8", {std::int8_t{-8}}},
            {"x-u8", {std::uint8_t{200}}},
            {"x-i16", {std::int16_t{-1600}}},
            {"x-u16", {std::uint16_t{60000}}},
            {"x-u32", {std::uint32_t{4000000000}}},
            {"x-float", {1.5F}},
            {"x-double", {-2.25e100}},
            {"x-decimal", {AmqpDecimal{2, 12345}}},
            {"x-timestamp", {AmqpTimestamp{1700000000}}},
            {"x-string", {std::string("Grüße \"quoted\" \\ 日本")}},
            {"x-bytes", {AmqpBytes{"plain bytes"}}},
            {"x-array", {AmqpArray{{std::string("a")}, {std::int32_t{1}}, {AmqpArray{}}}}},
            {"x-table", {AmqpTable{{"inner", {AmqpTable{{"deep", {AmqpArray{{true}}}}}}}}}}};
}

// One of each kind of thing, in each vhost.
void declare_fixed_part(AmqpClient& client) {
    client.declare_exchange("rest", "fanout");
    client.declare_exchange("inner", "direct", {.internal = true});
    client.declare_exchange("entry Ω", "topic",
                            {.arguments = {{"alternate-exchange", {std::string("rest")}}}});
    client.declare_exchange("by headers", "headers", {.arguments = {{"x-note", {true}}}});
    client.declare_exchange("gone after restart", "direct", {.durable = false});
    client.bind_exchange("inner", "entry Ω", "to.inner.#", {{"x-why", {std::string("nested")}}});
    client.bind_exchange("rest", "inner", "");

    client.declare_queue("every argument", {.arguments = arguments_of_every_type()});
    client.declare_queue("quorum ✓", {.arguments = {{"x-queue-type", {std::string("quorum")}}}});
    client.declare_queue("classic v2", {.arguments = {{"x-queue-version", {std::int32_t{2}}}}});
    client.declare_queue("dead letters");
    client.declare_queue("transient", {.durable = false});
    client.declare_queue("auto-delete", {.auto_delete = true});
    client.bind_queue("every argument", "by headers", "",
                      {{"x-match", {std::string("all")}}, {"n", {std::int32_t{1}}}});
    client.bind_queue("quorum ✓", "entry Ω", "a.*.c");
    if (harness::has_streams()) {
        client.declare_queue("stream", {.arguments = {{"x-queue-type", {std::string("stream")}}}});
        client.bind_queue("stream", "entry Ω", "#");
    }
    client.bind_queue("dead letters", "rest", "");
    client.bind_queue("transient", "gone after restart", "k");
    client.bind_queue("transient", "entry Ω", "t");
}

std::string queue_name(std::size_t n) {
    return "queue." + std::to_string(n);
}

std::string exchange_name(std::size_t n) {
    return "exchange." + std::to_string(n);
}

QueueOptions queue_options(std::size_t n) {
    if (n % 20 == 1) {
        return {.arguments = {{"x-dead-letter-exchange", {std::string("rest")}},
                              {"x-max-priority", {std::int32_t{5}}}}};
    }
    return {};
}

// The n-th queue of a vhost and its bindings: some of topic exchanges, most of direct ones, as on
// most brokers.
void declare_queues(std::uint16_t port, const std::string& vhost, std::size_t first,
                    std::size_t queues, std::size_t bindings) {
    AmqpClient client(port, vhost);
    client.send_without_waiting();
    for (std::size_t n = first; n < first + queues; ++n) {
        const std::string exchange = exchange_name(n / queues_per_exchange);
        if (n == first || n % queues_per_exchange == 0) {
            client.declare_exchange(exchange,
                                    n / queues_per_exchange % 20 == 19 ? "topic" : "direct");
        }
        client.declare_queue(queue_name(n), queue_options(n));
        const std::size_t done = bindings * (n - first) / queues;
        const std::size_t due = bindings * (n - first + 1) / queues;
        for (std::size_t binding = done; binding < due; ++binding) {
            client.bind_queue(queue_name(n), exchange,
                              "key." + std::to_string(binding - done) + "." + std::to_string(n));
        }
    }
    client.sync();
}

}  // namespace

Topology make_topology(Broker& broker, const TopologySize& size) {
    const harness::TempDir files;
    harness::write_file(files / "definitions.json", definitions_of_operators().dump());
    broker.rabbitmqctl({"import_definitions", files / "definitions.json"});

    Topology topology{all_vhosts, {}};
    std::vector<std::future<void>> work;
    for (std::size_t n = 0; n < share.size(); ++n) {
        const std::string& vhost = all_vhosts[n];
        AmqpClient& client = topology.exclusive_owners.emplace_back(broker.amqp_port(), vhost);
        declare_fixed_part(client);
        client.declare_queue("exclusive", {.exclusive = true});
        client.declare_queue("exclusive, not durable", {.durable = false, .exclusive = true});

        // Two connections for each vhost keep the broker busy while one of them waits for its disk.
        const std::size_t queues = size.queues * share[n] / 200;
        const std::size_t bindings = size.bindings * share[n] / 200;
        for (std::size_t half = 0; half < 2; ++half) {
            work.push_back(std::async(std::launch::async, declare_queues, broker.amqp_port(), vhost,
                                      half * queues, queues, bindings));
        }
    }
    for (std::future<void>& part : work) {
        part.get();
    }
    return topology;
}

}  // namespace tools
