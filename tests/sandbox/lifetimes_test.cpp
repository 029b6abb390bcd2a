// What had little of its lifetime left at the instant of a backup is still there in a sandbox,
// which takes longer to boot.
#include "sidecar/repository/timestamp.hpp"
#include "tests/harness/amqp_client.hpp"
#include "tests/harness/wait.hpp"
#include "tests/sandbox/support.hpp"

#include <catch2/catch.hpp>

using namespace harness;
using namespace sandbox_test;
using namespace std::chrono_literals;

namespace {

constexpr auto lifetime = 1h;
constexpr std::int32_t lifetime_ms = 3'600'000;
constexpr int messages = 20;

// In quorum queues messages expire from RabbitMQ 3.10 on.
std::vector<std::string> types_with_lifetimes() {
    return tested_version() >= hot_backup::RabbitmqVersion{3, 10, 0}
               ? std::vector<std::string>{"classic", "quorum"}
               : std::vector<std::string>{"classic"};
}

// Queues of these types whose messages expire, by the queue or by the message, an hour after they
// came; and queues that are deleted as soon as `consumer` is not there any more.
Load declare(const Broker& broker, AmqpClient& consumer) {
    AmqpClient client(broker.amqp_port());
    Load load;
    for (const auto& type : types_with_lifetimes()) {
        const std::pair<std::string, AmqpValue> of_type{"x-queue-type", {type}};
        client.declare_queue("ttl.queue." + type,
                             {.arguments = {of_type, {"x-message-ttl", {lifetime_ms}}}});
        client.declare_queue("ttl.message." + type, {.arguments = {of_type}});
        client.declare_queue("unused." + type, {.arguments = {of_type}});
        consumer.consume("unused." + type, 1);
        fill(client, "ttl.queue." + type, messages);
        fill(client, "ttl.message." + type, messages, {.expiration = std::to_string(lifetime_ms)});
        fill(client, "unused." + type, messages);
        for (const char* queue : {"ttl.queue.", "ttl.message.", "unused."}) {
            load.messages[queue + type] = messages;
        }
    }
    broker.rabbitmqctl(
        {"set_policy", "--apply-to", "queues", "short", "^unused", "{\"expires\":1}"});
    wait_until_quiet(broker, load);
    return load;
}

}  // namespace

TEST_CASE("neither messages nor queues expire in a sandbox") {
    const TempDir files;
    const Broker broker({.plugins = {"rabbitmq_management_agent"}});
    const auto begin = hot_backup::now();
    AmqpClient consumer(broker.amqp_port());
    const auto load = declare(broker, consumer);
    const auto created = create_backup(broker, files / "repository");
    REQUIRE(created.exit_code == 0);
    // As if it had been made when the first message had a second left.
    const auto backup =
        rewrite_backup(files / "repository", created.line("summary").at("backup"), {},
                       [&](auto& summary) { summary.instant = begin + lifetime - 1s; });

    const auto proven = drill(files / "repository", backup, files.path());
    INFO(proven.output << proven.error_output);
    CHECK(proven.exit_code == 0);
    CHECK(proven.line("summary").at("counts").at("messages") == load.messages.size() * messages);

    AmqpClient client(broker.amqp_port());
    for (const auto& type : types_with_lifetimes()) {
        client.delete_queue("ttl.queue." + type);
        client.delete_queue("ttl.message." + type);
    }
    // So slowly that the sandbox's quorum queues look at themselves, which is every five seconds,
    // before the last ones are read.
    const auto restored =
        run_cli({"restore", backup, "--json", "--repository", files / "repository", "--scratch",
                 files.path(), "--into", broker.node(), "--cookie-file", broker.cookie_file(),
                 "--all", "--rate-limit", "20kB"},
                {broker.client_environment()}, 5min);
    INFO(restored.output << restored.error_output);
    REQUIRE(restored.exit_code == 0);
    CHECK(restored.line("summary").at("messages") == load.messages.size() * messages);
}
