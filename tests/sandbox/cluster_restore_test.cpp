// `restore --into` from a cluster's backup: every message of every node once, wherever it goes.
#include "tests/harness/cluster.hpp"
#include "tests/harness/wait.hpp"
#include "tests/sandbox/named_cluster.hpp"
#include "tests/transfer/two_brokers.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <csignal>

using namespace harness;
using namespace sandbox_test;
using namespace std::chrono_literals;

namespace {

std::vector<std::string> arguments(const std::filesystem::path& repository,
                                   const std::string& backup, const Broker& target,
                                   const std::filesystem::path& scratch,
                                   const std::vector<std::string>& more) {
    std::vector<std::string> all{"restore",   backup,        "--repository",  repository,
                                 "--into",    target.node(), "--cookie-file", target.cookie_file(),
                                 "--scratch", scratch,       "--all",         "--json"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
}

// All messages of all queues, each once and in order.
void check_contents(const Broker& broker) {
    for (const auto& queue : cluster_queues()) {
        CAPTURE(queue);
        const auto found = transfer_tests::consume_all(
            broker, "/", queue,
            queue.starts_with("stream") ? std::optional<std::size_t>(cluster_messages)
                                        : std::nullopt);
        REQUIRE(found.size() == cluster_messages);
        for (int message = 0; message < cluster_messages; ++message) {
            CHECK(found[static_cast<std::size_t>(message)].body ==
                  queue + " " + std::to_string(message));
        }
    }
}

std::uint64_t all_messages() {
    return cluster_queues().size() * cluster_messages;
}

}  // namespace

TEST_CASE("the queues of all nodes come into one node, from parts in several repositories") {
    auto& filled = filled_cluster();
    const auto& target = shared_broker();
    const TempDir scratch;
    const auto run = [&](const std::vector<std::string>& more) {
        return run_cli(arguments(filled.own(0), filled.in_own, target, scratch.path(), more),
                       {target.client_environment()}, 5min);
    };
    const auto refused = run({});
    CHECK(refused.exit_code == 10);
    CHECK_THAT(refused.line("error").at("hint").get<std::string>(), Catch::Contains("--with"));

    const std::vector<std::string> with{"--with", filled.own(1), "--with", filled.own(2)};
    auto look = with;
    look.emplace_back("--dry-run");
    const auto planned = run(look);
    INFO(planned.output << planned.error_output);
    REQUIRE(planned.exit_code == 0);
    CHECK(planned.line("summary").at("queues") == cluster_queues().size());
    for (const auto& queue : lines_of(planned, "queue")) {
        CHECK(queue.at("expected_messages") == cluster_messages);
    }
    CHECK(lines_of(planned, "queue").size() == cluster_queues().size());

    const auto restored = run(with);
    INFO(restored.output << restored.error_output);
    REQUIRE(restored.exit_code == 0);
    CHECK(restored.line("summary").at("messages") == all_messages());
    CHECK(restored.line("summary").at("doubtful") == 0);
    CHECK(names_in(scratch.path()).empty());
    check_contents(target);
}

TEST_CASE("a restore into another cluster that is cut off goes on, and brings nothing twice") {
    auto& filled = filled_cluster();
    const Cluster other(2);
    const auto& target = other.at(0);
    const TempDir scratch;
    {
        // Three queues and a part of the fourth.
        Process slow(cli_path(),
                     arguments(filled.shared(), filled.backup, target, scratch.path(),
                               {"--rate-limit", "200"}),
                     {target.client_environment()});
        wait_for("some queues", 3min, [&] {
            REQUIRE(slow.running());
            const auto text = slow.output();
            const std::string_view finished = R"("earlier":0)";
            std::size_t queues = 0;
            for (auto at = text.find(finished); at != std::string::npos;
                 at = text.find(finished, at + 1)) {
                ++queues;
            }
            return queues >= 3;
        });
        const auto sandbox = descendants(slow.pid());
        CHECK(sandbox.size() >= NamedCluster::nodes);
        slow.signal(SIGKILL);
        slow.wait(10s);
        wait_for("the end of its sandbox", 30s, [&] {
            return std::ranges::all_of(sandbox,
                                       [](pid_t process) { return program_name(process).empty(); });
        });
    }
    const auto resumed =
        run_cli(arguments(filled.shared(), filled.backup, target, scratch.path(), {}),
                {target.client_environment()}, 5min);
    INFO(resumed.output << resumed.error_output);
    REQUIRE(resumed.exit_code == 0);
    CHECK(resumed.line("summary").at("messages") == all_messages());
    CHECK(resumed.line("summary").at("earlier") >= 3 * cluster_messages);
    CHECK(resumed.line("summary").at("doubtful") == 0);
    CHECK(names_in(scratch.path()).empty());
    check_contents(other.at(1));

    // The nodes of this cluster have one host, and share its epmd in a sandbox, too.
    const auto created =
        run_cli({"create", "--node", target.node(), "--cookie-file", target.cookie_file(),
                 "--repository", scratch / "repository", "--json"},
                {target.client_environment()});
    INFO(created.output << created.error_output);
    REQUIRE(created.exit_code == 0);
    const auto booted = drill(scratch / "repository", "latest", scratch.path());
    INFO(booted.output << booted.error_output);
    CHECK(booted.exit_code == 0);
    CHECK(booted.line("summary").at("nodes").size() == other.size());
}
