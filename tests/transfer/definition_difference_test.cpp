#include "sidecar/transfer/definition_difference.hpp"
#include "sidecar/transfer/version_changes.hpp"

#include "erlang_port/error.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <string>
#include <vector>

namespace {

using hot_backup::compare_definitions;
using hot_backup::DefinitionFinding;
using hot_backup::DefinitionSet;
using hot_backup::Json;
using State = DefinitionFinding::State;

const hot_backup::DefinitionRules rules{
    "RabbitMQ 9",
    {"max-length", "dead-letter-exchange", "alternate-exchange", "expires"},
    {"x-old"}};

// Builds sets in the vhost "v".
class Builder {
public:
    Builder() { set.vhosts["v"] = {{"name", "v"}, {"limits", Json::object()}}; }

    Builder& queue(const std::string& name, const std::string& type = "classic",
                   const Json& arguments = Json::object()) {
        set.queues[{"v", name}] = {{"vhost", "v"},         {"name", name},
                                   {"type", type},         {"durable", true},
                                   {"auto_delete", false}, {"arguments", arguments}};
        return *this;
    }
    Builder& exchange(const std::string& name, const Json& arguments = Json::object()) {
        set.exchanges[{"v", name}] = {{"vhost", "v"},         {"name", name},
                                      {"type", "topic"},      {"durable", true},
                                      {"auto_delete", false}, {"arguments", arguments}};
        return *this;
    }
    Builder& binding(const std::string& source, const std::string& destination,
                     const std::string& type = "queue") {
        set.bindings.push_back({{"vhost", "v"},
                                {"source", source},
                                {"destination", destination},
                                {"destination_type", type},
                                {"routing_key", "k"},
                                {"arguments", Json::object()}});
        return *this;
    }
    Builder& policy(const std::string& name, const std::string& pattern, const std::string& to,
                    const Json& definition) {
        set.policies[{"v", name}] = {{"vhost", "v"},   {"name", name},  {"pattern", pattern},
                                     {"apply-to", to}, {"priority", 0}, {"definition", definition}};
        return *this;
    }

    DefinitionSet set;
};

// "missing queue q: detail".
std::vector<std::string> compare(const Builder& backup, const Builder& target,
                                 const std::string& queue, const std::string& as = {}) {
    std::vector<std::string> lines;
    const auto difference = compare_definitions(
        backup.set, target.set, {{{"v", queue}, {"v", as.empty() ? queue : as}}}, rules);
    std::size_t missing = 0;
    for (const auto& finding : difference.findings) {
        const char* states[] = {"missing", "same", "differs", "withheld"};
        missing += finding.state == State::missing ? 1U : 0U;
        lines.push_back(std::string(states[static_cast<int>(finding.state)]) + " " + finding.kind +
                        " " + finding.name + (finding.detail.empty() ? "" : ": " + finding.detail));
    }
    std::size_t declared = 0;
    for (const auto& [section, definitions] : difference.missing.items()) {
        declared += definitions.size();
    }
    CHECK(declared == missing);
    return lines;
}

using Lines = std::vector<std::string>;

TEST_CASE("what leads to a queue belongs to it, and nothing else") {
    Builder backup;
    backup.queue("q").queue("other").exchange("near").exchange("far").exchange("apart");
    backup.binding("near", "q")
        .binding("far", "near", "exchange")
        .binding("near", "far", "exchange");
    backup.binding("apart", "other").binding("far", "other").binding("amq.topic", "q");
    DefinitionSet nothing;
    Builder target;
    target.set = nothing;
    CHECK(compare(backup, target, "q") == Lines{"missing vhost v", "missing queue q",
                                                "missing exchange far", "missing exchange near",
                                                "missing binding near -> queue q (k)",
                                                "missing binding far -> exchange near (k)",
                                                "missing binding near -> exchange far (k)",
                                                "missing binding amq.topic -> queue q (k)"});
    for (const auto& finding : compare(backup, backup, "q")) {
        CHECK_THAT(finding, Catch::StartsWith("same "));
    }
}

TEST_CASE("exchanges for dead letters and alternatives belong to it, without their bindings") {
    Builder backup;
    backup.queue("q", "classic", {{"x-dead-letter-exchange", "dead"}}).queue("grave");
    backup.exchange("dead", {{"alternate-exchange", "lost"}}).exchange("lost");
    backup.exchange("by policy").binding("dead", "grave");
    backup.policy("p", "^q", "queues", {{"dead-letter-exchange", "by policy"}});
    CHECK(compare(backup, {}, "q") == Lines{"same vhost v", "missing queue q", "missing policy p",
                                            "missing exchange by policy", "missing exchange dead",
                                            "missing exchange lost"});
}

TEST_CASE("what differs is said and left alone") {
    Builder backup;
    Builder target;
    backup.queue("q", "quorum", {{"x-queue-type", "quorum"}, {"x-max-length", 5}});
    target.queue("q", "quorum", {{"x-max-length", 6}});
    backup.exchange("x").binding("x", "q");
    target.exchange("x", {{"alternate-exchange", "y"}});
    backup.policy("p", "q", "all", {{"max-length", 1}});
    target.policy("p", "q", "all", {{"max-length", 2}});
    const auto lines = compare(backup, target, "q");
    REQUIRE(lines.size() == 5);
    CHECK(lines[1] ==
          "differs queue q: arguments is {\"x-max-length\":6}, in the backup "
          "{\"x-max-length\":5}");
    CHECK_THAT(lines[2], Catch::StartsWith("differs policy p: it is {"));
    CHECK_THAT(lines[3], Catch::StartsWith("differs exchange x: arguments is "));
    CHECK(lines[4] == "missing binding x -> queue q (k)");
}

TEST_CASE("a type that is said twice is the same type, and is sent to every release") {
    Builder backup;
    Builder target;
    backup.queue("q", "quorum", {{"x-queue-type", "quorum"}});
    target.queue("q", "quorum");
    CHECK(compare(backup, target, "q")[1] == "same queue q");
    const auto difference = compare_definitions(target.set, {}, {{{"v", "q"}, {"v", "q"}}}, rules);
    CHECK(difference.missing["queues"][0]["arguments"]["x-queue-type"] == "quorum");
}

TEST_CASE("a queue of another type is refused, all of them by name") {
    Builder backup;
    Builder target;
    backup.queue("a", "quorum").queue("b", "stream").queue("c");
    target.queue("a").queue("b").queue("c");
    CHECK_THROWS_WITH(
        compare_definitions(backup.set, target.set,
                            {{{"v", "a"}, {"v", "a"}}, {{"v", "b"}, {"v", "b"}}}, rules),
        "queue a in vhost v is a classic queue, in the backup it is a quorum queue; queue b in "
        "vhost v is a classic queue, in the backup it is a stream queue");
}

TEST_CASE("a policy that would change what exists is withheld") {
    Builder backup;
    Builder target;
    backup.queue("orders");
    target.queue("or else");
    backup.policy("broad", "^or", "queues", {{"max-length", 1}});
    backup.policy("narrow", "^orders$", "classic_queues", {{"max-length", 1}});
    backup.policy("quorum only", "^or", "quorum_queues", {{"max-length", 1}});
    backup.policy("of exchanges", "^or", "exchanges", {{"alternate-exchange", "x"}});
    backup.policy("perl", "^(?<name>or)", "queues", {{"max-length", 1}});
    CHECK(compare(backup, target, "orders") ==
          Lines{"same vhost v", "missing queue orders",
                "withheld policy broad: it would change queue or else, which exists",
                "missing policy narrow",
                "withheld policy perl: it would change queue or else, which exists"});
}

TEST_CASE("a policy says nothing that the target does not know") {
    Builder backup;
    Builder target;
    backup.queue("q");
    target.queue("quite other");
    const Json mirrors{{"ha-mode", "all"}, {"ha-sync-mode", "automatic"}};
    backup.policy("mirrors", "^q", "all", mirrors);
    CHECK(compare(backup, {}, "q")[2] ==
          "withheld policy mirrors: RabbitMQ 9 does not know ha-mode, ha-sync-mode");
    CHECK(compare(backup, target, "q")[2] ==
          "withheld policy mirrors: RabbitMQ 9 does not know ha-mode, ha-sync-mode");

    backup.policy("limits", "^q$", "all", {{"max-length", 5}, {"ha-mode", "all"}});
    const auto lines = compare(backup, {}, "q");
    CHECK(lines[2] == "missing policy limits: without ha-mode, which RabbitMQ 9 does not know");
    CHECK(lines[3] ==
          "withheld policy mirrors: RabbitMQ 9 does not know ha-mode, ha-sync-mode; policies of "
          "lower priority may apply in its place");
    const auto difference = compare_definitions(backup.set, {}, {{{"v", "q"}, {"v", "q"}}}, rules);
    CHECK(difference.missing["policies"].size() == 1);
    CHECK(difference.missing["policies"][0]["definition"] == Json{{"max-length", 5}});
    // As it was declared then.
    target.policy("limits", "^q$", "all", {{"max-length", 5}});
    CHECK(compare(backup, target, "q")[2] == "same policy limits");
}

TEST_CASE("a queue is declared without the arguments that the target refuses") {
    Builder backup;
    backup.queue("q", "classic", {{"x-old", 1}, {"x-max-length", 5}});
    CHECK(compare(backup, {}, "q")[1] ==
          "missing queue q: without x-old, which RabbitMQ 9 refuses");
    const auto difference = compare_definitions(backup.set, {}, {{{"v", "q"}, {"v", "q"}}}, rules);
    CHECK(difference.missing["queues"][0]["arguments"] == Json{{"x-max-length", 5}});
    Builder target;
    target.queue("q", "classic", {{"x-max-length", 5}});
    CHECK(compare(backup, target, "q")[1] == "same queue q");
}

TEST_CASE("what was mirrored may have become a quorum queue") {
    Builder backup;
    Builder target;
    backup.queue("q");
    target.queue("q", "quorum");
    CHECK_THROWS(compare(backup, target, "q"));
    backup.policy("weak", "^q$", "all", {{"max-length", 5}});
    backup.policy("mirrors", "^q$", "all", {{"ha-mode", "all"}});
    backup.set.policies[{"v", "mirrors"}]["priority"] = 1;
    CHECK_THAT(compare(backup, target, "q")[1],
               Catch::StartsWith("differs queue q: type is \"quorum\""));
    // Only the one with the highest priority counts.
    backup.set.policies[{"v", "weak"}]["priority"] = 2;
    CHECK_THROWS(compare(backup, target, "q"));
    backup.queue("s", "stream");
    backup.policy("others", "^s$", "all", {{"ha-mode", "all"}});
    target.queue("s", "quorum");
    CHECK_THROWS(compare(backup, target, "s"));
}

TEST_CASE("what becomes of queues in a later RabbitMQ is said of those that it concerns") {
    Builder backup;
    backup.queue("mirrored").queue("plain").queue("quorum", "quorum");
    backup.queue("limited", "quorum", {{"x-delivery-limit", 3}}).queue("by policy", "quorum");
    backup.policy("mirrors", "^mirrored$", "queues", {{"ha-mode", "all"}});
    backup.policy("limits", "^by policy$", "queues", {{"delivery-limit", 3}});
    const auto find = [&](const std::string& from, const std::string& to) {
        std::vector<hot_backup::QueueName> all;
        for (const auto& [name, queue] : backup.set.queues) {
            all.push_back(name);
        }
        return find_version_changes(backup.set, all, from, to);
    };
    const auto changes = find("3.13.7", "4.0.0");
    REQUIRE(changes.size() == 2);
    CHECK_THAT(changes[0].what, Catch::StartsWith("RabbitMQ 4.0.0 has no mirrored queues"));
    CHECK(changes[0].queues == std::vector<hot_backup::QueueName>{{"v", "mirrored"}});
    CHECK(changes[1].queues == std::vector<hot_backup::QueueName>{{"v", "quorum"}});
    CHECK(find("3.10.8", "3.13.7").empty());
    CHECK(find("4.0.5", "4.3.6").empty());
}

TEST_CASE("what is bound to an exchange that exists is withheld, what to a new one is not") {
    Builder backup;
    backup.queue("q").exchange("here").exchange("new").exchange("source");
    backup.binding("here", "q").binding("new", "q");
    backup.binding("source", "here", "exchange").binding("source", "new", "exchange");
    Builder target;
    target.exchange("here");
    const auto lines = compare(backup, target, "q");
    const auto has = [&](const std::string& line) {
        return std::find(lines.begin(), lines.end(), line) != lines.end();
    };
    CHECK(has("missing binding source -> exchange new (k)"));
    CHECK(
        has("withheld binding source -> exchange here (k): it would bring messages to exchange "
            "here, which exists"));
}

TEST_CASE("under another name a queue is bound to nothing") {
    Builder backup;
    backup.queue("q").exchange("x").binding("x", "q");
    const auto difference =
        compare_definitions(backup.set, Builder().set, {{{"v", "q"}, {"v", "copy"}}}, rules);
    CHECK(compare(backup, {}, "q", "copy") == Lines{"same vhost v", "missing queue copy"});
    CHECK(difference.missing["queues"][0]["name"] == "copy");
}

TEST_CASE("a binding of an exchange that definitions leave out is not sent") {
    Builder backup;
    backup.queue("q").binding("internal", "q");
    CHECK(compare(backup, {}, "q") ==
          Lines{"same vhost v", "missing queue q",
                "withheld exchange internal: the backup's definitions do not have it",
                "withheld binding internal -> queue q (k): the backup's definitions do not have "
                "its exchange"});
}

}  // namespace
