// Queues of a backup of one RabbitMQ into a live broker of a later one: `restore ID --into NODE` on
// the machine of the earlier one, as an operator runs it. Where the two are, tests/matrix/across.sh
// says.
#include "tests/harness/cli.hpp"
#include "tests/harness/http_client.hpp"
#include "tests/harness/temp_dir.hpp"
#include "tests/transfer/messages.hpp"
#include "tests/transfer/two_brokers.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <sstream>
#include <string>
#include <vector>

namespace {

using namespace transfer_tests;
using namespace std::chrono_literals;
using harness::AmqpClient;
using hot_backup::RabbitmqVersion;

// The words of a variable, none of which has blanks of its own.
std::vector<std::string> launcher(const char* variable) {
    const char* value = std::getenv(variable);
    std::istringstream text(value == nullptr ? "" : value);
    return {std::istream_iterator<std::string>(text), {}};
}

const auto from_launcher = launcher("HOT_BACKUP_TEST_FROM");
const auto into_launcher = launcher("HOT_BACKUP_TEST_INTO");
constexpr RabbitmqVersion streams{3, 9, 0};
constexpr RabbitmqVersion no_mirrors{4, 0, 0};
constexpr RabbitmqVersion no_locators{4, 3, 0};

constexpr std::size_t some = 300;

// A queue with `some` messages, and what of its definition is worth looking at afterwards.
struct OtherQueue {
    std::string name;
    harness::QueueOptions options;
};

const std::vector<OtherQueue> other_queues{
    {"mirrored", {}},
    {"replicated", {}},
    {"lazy", {.arguments = {{"x-queue-mode", {std::string("lazy")}}}}},
    {"priorities", {.arguments = {{"x-max-priority", {std::int32_t{5}}}}}},
    {"limited",
     {.arguments = {{"x-max-length", {std::int32_t{100000}}},
                    {"x-overflow", {std::string("reject-publish")}},
                    {"x-message-ttl", {std::int32_t{86400000}}},
                    {"x-expires", {std::int32_t{86400000}}},
                    {"x-single-active-consumer", {true}},
                    {"x-queue-master-locator", {std::string("min-masters")}},
                    {"x-dead-letter-exchange", {std::string("dead")}},
                    {"x-dead-letter-routing-key", {std::string("key")}}}}},
    {"auto-delete", {.auto_delete = true}},
};

class Scene {
public:
    Scene() {
        fill_source();
        const auto created = harness::create_backup(source, repository);
        INFO(created.output << created.error_output);
        REQUIRE(created.exit_code == 0);
        source.stop();
    }

    harness::TempDir directory;
    harness::Broker source{{.launcher = from_launcher}};
    harness::Broker target{{.plugins = {"rabbitmq_management"}, .launcher = into_launcher}};
    std::filesystem::path repository = target.repository();
    std::vector<std::string> types{"classic", "quorum"};
    std::map<std::string, std::vector<harness::Delivery>> seen;  // by type, what a consumer saw
    bool has_odd_queue = false;

    // The target's, as messages name it.
    std::string rabbitmq() const {
        const auto version = target.version();
        return "RabbitMQ " + std::to_string(version.major) + "." + std::to_string(version.minor) +
               "." + std::to_string(version.patch);
    }

    bool loses_mirrors() const {
        return source.version() < no_mirrors && target.version() >= no_mirrors;
    }

    // Runs the program beside the source, where RabbitMQ is in the backup's version, or elsewhere.
    harness::CliResult restore(const std::vector<std::string>& more,
                               const std::vector<std::string>& beside = from_launcher) const {
        std::vector<std::string> all{
            "restore",           "latest",    "--into",         target.node(), "--repository",
            repository,          "--scratch", directory.path(), "--json",      "--cookie-file",
            target.cookie_file()};
        all.insert(all.end(), more.begin(), more.end());
        return harness::run_cli(
            all, {.environment = target.client_environment(), .launcher = beside}, 10min);
    }

private:
    void fill_source() {
        if (source.version() >= streams) {
            types.emplace_back("stream");
        }
        source.rabbitmqctl({"add_user", "clerk", "secret"});
        source.rabbitmqctl({"add_vhost", "shop"});
        source.rabbitmqctl({"set_permissions", "-p", "shop", "clerk", ".*", ".*", ".*"});
        AmqpClient client(source.amqp_port());
        client.declare_exchange("dead", "direct");
        for (const auto& type : types) {
            fill_with_every_kind(client, type);
        }
        const bool mirrors = source.version() < no_mirrors;
        source.rabbitmqctl(
            {"set_policy", "mirrors", "^mirrored$",
             mirrors ? R"({"ha-mode":"all","ha-sync-mode":"automatic","expires":86400000})"
                     : R"({"expires":86400000})",
             "--apply-to", "queues"});
        if (mirrors) {
            source.rabbitmqctl({"set_policy", "replicas", "^replicated$",
                                R"({"ha-mode":"exactly","ha-params":2})", "--apply-to", "queues"});
        }
        source.rabbitmqctl(
            {"set_policy", "lazy", "^lazy$", R"({"queue-mode":"lazy"})", "--apply-to", "queues"});
        client.declare_queue("transient", {.durable = false});
        declare_odd_queue();
        for (const auto& [name, options] : other_queues) {
            client.declare_queue(name, options);
            client.bind_queue(name, "amq.topic", name);
            AmqpClient publisher(source.amqp_port());
            for (std::size_t n = 0; n < some; ++n) {
                publisher.send("amq.topic", name, body(n));
            }
            wait_for_confirms(publisher, some);
        }
    }

    // A classic queue that says what only quorum queues look at: 3.8 takes it.
    void declare_odd_queue() {
        source.rabbitmqctl({"set_permissions", "-p", "shop", "guest", ".*", ".*", ".*"});
        try {
            AmqpClient(source.amqp_port(), "shop")
                .declare_queue("odd", {.arguments = {{"x-delivery-limit", {std::int32_t{3}}}}});
            has_odd_queue = true;
        } catch (const hot_backup::Error&) {
            // Then no backup has such a queue.
        }
    }

    // A second queue tells what a consumer sees.
    void fill_with_every_kind(AmqpClient& client, const std::string& type) {
        const std::string exchange = "in." + type;
        client.declare_exchange(exchange, "topic");
        for (const auto& queue : {"orders." + type, "seen." + type}) {
            client.declare_queue(queue, of_type(type));
            client.bind_queue(queue, exchange, "orders.#");
        }
        AmqpClient publisher(source.amqp_port());
        const auto sent = send_every_kind(publisher, exchange, type);
        const auto stream = type == "stream";
        seen[type] =
            consume_all(source, "/", "seen." + type, stream ? std::optional(sent) : std::nullopt);
        client.delete_queue("seen." + type);
        if (type == "classic") {
            // A transient message is in no backup.
            std::erase_if(seen[type], [](const harness::Delivery& delivery) {
                return delivery.routing_key == "orders.transient";
            });
        }
    }
};

Scene& scene() {
    static Scene instance;
    return instance;
}

// The lines that say what becomes of a queue.
std::vector<std::string> changed_queues(const std::vector<nlohmann::json>& lines) {
    std::vector<std::string> queues;
    for (const auto& line : lines) {
        if (line["message_type"] == "changed") {
            queues.push_back(line["queue"]);
        }
    }
    return queues;
}

std::string detail_of(const harness::CliResult& result, const std::string& kind,
                      const std::string& name) {
    for (const auto& line : result.lines) {
        if (line["message_type"] == "definition" && line["kind"] == kind && line["name"] == name) {
            return std::string(line["state"]) + ": " + std::string(line["detail"]);
        }
    }
    return "not there";
}

void check_bodies(const std::string& queue) {
    CAPTURE(queue);
    const auto messages = consume_all(scene().target, "/", queue);
    REQUIRE(messages.size() == some);
    for (std::size_t n = 0; n < some; ++n) {
        REQUIRE(messages[n].body == body(n));
    }
}

// What a consumer of a later release sees of what it saw before, also where a client has published
// it there.
std::vector<harness::Delivery> as_seen_from_4_0(const std::string& type) {
    auto seen = scene().seen[type];
    if (type == "quorum") {
        // Messages of a priority above 4 overtake others.
        std::ranges::stable_partition(seen, [](const harness::Delivery& delivery) {
            return delivery.routing_key == "orders.all.ü";
        });
    } else if (type == "stream") {
        // Arrays of bytes in headers become strings.
        for (auto& delivery : seen) {
            const auto found = delivery.properties.find("\5bytesx");
            if (found != std::string::npos) {
                delivery.properties.replace(found, 7, "\5bytesS");
            }
        }
    }
    return seen;
}

// As docs/operations.md has it, "Move to a newer RabbitMQ".
TEST_CASE("users come into a later RabbitMQ") {
    const auto file = scene().directory.path() / "definitions.json";
    const auto written = harness::run_cli(
        {"definitions", "latest", "--repository", scene().repository, "--output", file});
    INFO(written.output << written.error_output);
    REQUIRE(written.exit_code == 0);
    const auto all = nlohmann::json::parse(harness::read_file(file));
    nlohmann::json users;
    for (const auto* section : {"rabbitmq_version", "users", "vhosts", "permissions",
                                "topic_permissions", "parameters"}) {
        users[section] = all[section];
    }
    const auto some_of_it = scene().directory.path() / "users.json";
    harness::write_file(some_of_it, users.dump());
    scene().target.rabbitmqctl({"import_definitions", some_of_it});
    AmqpClient(scene().target.amqp_port(), "shop", "clerk", "secret").declare_queue("theirs");
}

TEST_CASE("queues come into a later RabbitMQ with all that they held") {
    const bool mirrors = scene().loses_mirrors();
    if (mirrors) {
        AmqpClient(scene().target.amqp_port()).declare_queue("replicated", of_type("quorum"));
    }
    const auto before = scene().target.rabbitmqctl({"export_definitions", "-"});
    const auto planned = scene().restore({"--vhost", "/", "--dry-run"});
    INFO(planned.output << planned.error_output);
    REQUIRE(planned.exit_code == 0);
    CHECK(scene().target.rabbitmqctl({"export_definitions", "-"}) == before);
    const auto over_http =
        harness::HttpClient(scene().target.management_port())
            .request("POST", "/api/hot-backup/backups/latest/restore/plan", R"({"vhosts":["/"]})");
    CHECK(over_http.status == 200);
    CHECK(changed_queues(over_http.json()["findings"]) == changed_queues(planned.lines));
    const auto restored = scene().restore({"--vhost", "/"});
    INFO(restored.output << restored.error_output);
    REQUIRE(restored.exit_code == 0);
    // Both say it.
    for (const auto& result : {planned, restored}) {
        CHECK(changed_queues(result.lines) ==
              (mirrors ? std::vector<std::string>{"mirrored", "orders.quorum"}
                       : std::vector<std::string>{}));
        CHECK(detail_of(result, "policy", "mirrors") ==
              (mirrors ? "missing: without ha-mode, ha-sync-mode, which " + scene().rabbitmq() +
                             " does not know"
                       : "missing: "));
        CHECK(detail_of(result, "policy", "replicas") ==
              (mirrors ? "withheld: " + scene().rabbitmq() + " does not know ha-mode, ha-params"
                       : "not there"));
        CHECK(detail_of(result, "queue", "limited") ==
              (scene().target.version() >= no_locators
                   ? "missing: without x-queue-master-locator, which " + scene().rabbitmq() +
                         " refuses"
                   : "missing: "));
        CHECK(detail_of(result, "queue", "replicated") ==
              (mirrors ? R"(differs: type is "quorum", in the backup "classic")" : "missing: "));
    }

    for (const auto& type : scene().types) {
        CAPTURE(type);
        const auto seen = mirrors ? as_seen_from_4_0(type) : scene().seen[type];
        check_same(seen, consume_all(scene().target, "/", "orders." + type,
                                     type == "stream" ? std::optional(seen.size()) : std::nullopt));
    }
    for (const auto& queue : other_queues) {
        check_bodies(queue.name);
    }
    // A second run has nothing to declare: what was left away does not count as a difference.
    const auto again = scene().restore({"--vhost", "/", "--dry-run"});
    CHECK(detail_of(again, "policy", "mirrors") == "same: ");
    CHECK(detail_of(again, "queue", "limited") == "same: ");
    CHECK(changed_queues(again.lines).empty());
}

TEST_CASE("what cannot come into a later RabbitMQ is named") {
    const auto transient = scene().restore({"--queue", "//transient"});
    CHECK(transient.exit_code == 2);
    CHECK(transient.line("error")["message"] ==
          "the backup has no durable queue that matches //transient");
    if (scene().has_odd_queue) {
        const auto odd = scene().restore({"--queue", "shop/odd"});
        INFO(odd.output << odd.error_output);
        CHECK(odd.exit_code == 1);
        const std::string message = odd.line("error")["message"];
        CHECK_THAT(message, Catch::Contains("odd") && Catch::Contains("x-delivery-limit"));
    }
}

TEST_CASE("a later RabbitMQ boots a backup of an earlier one where it upgrades from that") {
    const auto booted = scene().restore(
        {"--queue", "//orders.classic", "--as", "upgraded", "--any-version"}, into_launcher);
    INFO(booted.output << booted.error_output);
    if (!scene().loses_mirrors()) {
        REQUIRE(booted.exit_code == 0);
        check_same(scene().seen["classic"], consume_all(scene().target, "/", "upgraded"));
        return;
    }
    CHECK(booted.exit_code == 1);
    const auto error = booted.line("error");
    CHECK_THAT(std::string(error["message"]),
               Catch::StartsWith(scene().rabbitmq() + " does not boot a backup of RabbitMQ 3."));
    CHECK_THAT(std::string(error["hint"]),
               Catch::Contains("a restore --into reaches its node over the network. The log of the "
                               "sandbox broker is kept in"));
}

}  // namespace
