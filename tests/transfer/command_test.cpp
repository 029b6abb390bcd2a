// `restore ID --into NODE` as an operator runs it: a backup, booted, into the live node that it is
// of.
#include "tests/harness/cli.hpp"
#include "tests/harness/temp_dir.hpp"
#include "tests/harness/wait.hpp"
#include "tests/transfer/two_brokers.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <csignal>
#include <string>
#include <vector>

namespace {

using namespace transfer_tests;
using namespace std::chrono_literals;
using harness::AmqpClient;

constexpr std::size_t many = 6000;
const auto types = harness::queue_types();

// A broker with a queue of each kind, and a backup of it.
struct Scene {
    harness::TempDir directory;
    harness::Broker& broker = source_broker();
    std::filesystem::path repository = directory.path() / "repository";

    Scene() {
        for (const auto& type : types) {
            fill(broker, "/", "shop." + type, type, many);
        }
        AmqpClient client(broker.amqp_port());
        client.declare_queue(
            "expiring", {.arguments = {{"x-message-ttl", {std::int32_t{6000}}},
                                       {"x-dead-letter-exchange", {std::string()}},
                                       {"x-dead-letter-routing-key", {std::string("grave")}}}});
        client.publish("", "expiring", "still here");
        const auto created = harness::create_backup(broker, repository);
        INFO(created.output << created.error_output);
        REQUIRE(created.exit_code == 0);
        // The live queue loses it; the backup is from before that.
        harness::wait_for("the message to expire", 30s,
                          [&] { return count(broker, "/", "expiring") == 0; });
        client.delete_queue("expiring");
        for (const auto& type : types) {
            client.delete_queue("shop." + type);
        }
    }

    std::vector<std::string> arguments(std::vector<std::string> more) const {
        std::vector<std::string> all{
            "restore",   "latest",         "--repository",  repository,
            "--into",    broker.node(),    "--cookie-file", broker.cookie_file(),
            "--scratch", directory.path(), "--json"};
        all.insert(all.end(), more.begin(), more.end());
        return all;
    }

    harness::CliResult run(const std::vector<std::string>& more) const {
        return harness::run_cli(arguments(more), {broker.client_environment()}, 5min);
    }
};

void check_contents(const harness::Broker& broker, const std::string& type) {
    const auto messages = consume_all(broker, "/", "shop." + type,
                                      type == "stream" ? std::optional(many) : std::nullopt);
    REQUIRE(messages.size() == many);
    for (std::size_t n = 0; n < many; ++n) {
        REQUIRE(messages[n].body == body(n));
    }
}

TEST_CASE("lost queues come back from a backup, and a killed restore goes on") {
    const Scene scene;

    const auto planned = scene.run({"--queue", "//shop.*", "--dry-run"});
    INFO(planned.output << planned.error_output);
    REQUIRE(planned.exit_code == 0);
    CHECK(planned.line("summary")["queues"] == types.size());
    CHECK(planned.line("summary")["declared"] == 0);
    if (harness::has_streams()) {
        const auto& stream = planned.lines.at(planned.lines.size() - 2);
        CHECK(stream["expected_messages"] == many);
    }

    const auto restored = scene.run({"--queue", "//shop.*", "--queue", "//expiring"});
    INFO(restored.output << restored.error_output);
    REQUIRE(restored.exit_code == 0);
    CHECK(restored.line("summary")["messages"] == types.size() * many + 1);
    CHECK(restored.line("summary")["declared"] == types.size() + 1);
    for (const auto& type : types) {
        CAPTURE(type);
        check_contents(scene.broker, type);
    }

    AmqpClient(scene.broker.amqp_port()).delete_queue("shop.quorum");
    {
        harness::Process slow(
            harness::cli_path(),
            scene.arguments({"--queue", "//shop.quorum", "--rate-limit", "800kB"}),
            {scene.broker.client_environment()});
        harness::wait_for("the first messages", 2min,
                          [&] { return slow.output().find("deliver to") != std::string::npos; });
        harness::wait_for("some messages", 1min,
                          [&] { return count(scene.broker, "/", "shop.quorum") > many / 10; });
        const auto sandbox = harness::descendants(slow.pid());
        slow.signal(SIGKILL);
        slow.wait(10s);
        // Its directory is locked until they have ended.
        harness::wait_for("the end of its sandbox", 30s, [&] {
            return std::ranges::all_of(
                sandbox, [](pid_t process) { return harness::program_name(process).empty(); });
        });
    }
    const auto resumed = scene.run({"--queue", "//shop.quorum"});
    INFO(resumed.output << resumed.error_output);
    REQUIRE(resumed.exit_code == 0);
    CHECK(resumed.line("summary")["messages"] == many);
    CHECK(resumed.line("summary")["earlier"] > 0);
    CHECK(resumed.line("summary")["doubtful"] == 0);
    check_contents(scene.broker, "quorum");
    // Neither scratch directories nor journals are left.
    CHECK(std::distance(std::filesystem::directory_iterator(scene.directory.path()), {}) == 1);
}

TEST_CASE("wrong usage is refused at once") {
    const harness::TempDir directory;
    for (const std::vector<std::string>& arguments :
         {std::vector<std::string>{"restore"},
          {"restore", "--into", "rabbit@localhost"},
          {"restore", "--into", "rabbit@localhost", "--target-dir", "/tmp/x", "--all"},
          {"restore", "--target-dir", "/tmp/x", "--queue", "//a"}}) {
        CHECK(harness::run_cli(arguments).exit_code == 2);
    }
}

}  // namespace
