// A backup of a cluster: one backup of all nodes, which starts as a cluster again.
#include "tests/harness/cluster.hpp"
#include "sidecar/repository/repository.hpp"
#include "tests/harness/amqp_client.hpp"
#include "tests/harness/cli.hpp"
#include "tests/harness/temp_dir.hpp"
#include "tests/harness/wait.hpp"
#include "tests/integration/support.hpp"

#include <catch2/catch.hpp>

#include <csignal>
#include <map>
#include <set>

using namespace harness;
using namespace integration;
using nlohmann::json;

namespace {

constexpr std::size_t nodes = 3;
constexpr int messages = 30;

std::vector<std::string> queue_names() {
    std::vector<std::string> names;
    for (const auto& type : queue_types()) {
        for (std::size_t node = 0; node < nodes; ++node) {
            names.push_back(type + std::to_string(node));
        }
    }
    return names;
}

// On each node one queue of each type, with messages; quorum queues and streams have members on
// all of them.
void fill(const Cluster& cluster) {
    for (std::size_t node = 0; node < nodes; ++node) {
        AmqpClient client(cluster.at(node).amqp_port());
        for (const auto& type : queue_types()) {
            const auto name = type + std::to_string(node);
            client.declare_queue(name, {.arguments = {{"x-queue-type", {type}}}});
            for (int number = 0; number < messages; ++number) {
                client.publish("", name, name + " " + std::to_string(number));
            }
        }
    }
}

std::multiset<std::string> take_all(const Broker& broker, const std::string& queue) {
    std::multiset<std::string> bodies;
    AmqpClient client(broker.amqp_port());
    if (queue.starts_with("stream")) {
        client.consume(queue, 100, {.arguments = {{"x-stream-offset", {"first"}}}});
        while (bodies.size() < messages) {
            const auto delivery = client.next_delivery(std::chrono::seconds(30));
            REQUIRE(delivery);
            bodies.insert(delivery->body);
            client.acknowledge(delivery->tag);
        }
        return bodies;
    }
    while (const auto body = client.get(queue)) {
        bodies.insert(*body);
    }
    return bodies;
}

std::multiset<std::string> expected(const std::string& queue) {
    std::multiset<std::string> bodies;
    for (int number = 0; number < messages; ++number) {
        bodies.insert(queue + " " + std::to_string(number));
    }
    return bodies;
}

CliResult back_up(const Broker& coordinator, const std::vector<std::string>& arguments = {}) {
    std::vector<std::string> all{
        "create", "--node", coordinator.node(), "--cookie-file", coordinator.cookie_file(),
        "--json"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return run_cli(all, {.environment = coordinator.client_environment()});
}

// Of all cases but the last one.
Cluster& shared_cluster() {
    static Cluster cluster(nodes);
    return cluster;
}

json summary_of(const CliResult& created) {
    INFO(created.output << created.error_output);
    REQUIRE(created.exit_code == 0);
    return created.line("summary");
}

std::string verify(const std::filesystem::path& repository, const std::string& id) {
    const CliResult verified = run_cli({"verify", id, "--repository", repository});
    INFO(verified.output << verified.error_output);
    CHECK(verified.exit_code == 0);
    return verified.output;
}

}  // namespace

TEST_CASE("a node without a cluster has no backup of one") {
    const Broker& broker = shared_broker();
    CHECK_THAT(check_one_error(back_up(broker, {"--cluster"}), 2),
               Catch::Contains("is a member of no cluster"));
    CHECK(summary_of(back_up(broker)).at("kind") == "full");
}

TEST_CASE("one node of a cluster can be backed up alone") {
    const TempDir files;
    const auto& cluster = shared_cluster();
    const json summary =
        summary_of(back_up(cluster.at(1), {"--this-node", "--repository", files / "repository"}));
    CHECK(summary.at("kind") == "full");
    CHECK(summary.at("node") == cluster.at(1).node());
}

TEST_CASE("all parts may be in one repository") {
    const TempDir files;
    const auto repository = files / "repository";
    const auto& cluster = shared_cluster();
    const json summary = summary_of(back_up(cluster.at(1), {"--repository", repository}));
    CHECK(summary.at("parts").size() == nodes);
    CHECK(listed(repository) == std::vector{summary.at("backup").get<std::string>()});
    CHECK_THAT(verify(repository, "latest"), !Catch::Contains("not checked"));
    const CliResult restored = run_cli({"restore", "latest", "--target-dir", files / "nodes",
                                        "--repository", repository, "--json"});
    INFO(restored.output << restored.error_output);
    REQUIRE(restored.exit_code == 0);
    CHECK(restored.line("summary").at("parts").size() == nodes);
    CHECK(restored.line("summary").at("elsewhere") == json::array());
}

TEST_CASE("a node that hangs costs the backup, and nothing else") {
    Cluster& cluster = shared_cluster();
    const Broker& hanging = cluster.at(2);
    const TempDir files;
    const auto repository = files / "repository";
    ::kill(hanging.pid(), SIGSTOP);
    const CliResult failed = back_up(cluster.at(0), {"--repository", repository});
    ::kill(hanging.pid(), SIGCONT);
    CHECK_THAT(check_one_error(failed, 1), Catch::Contains(hanging.node()));
    CHECK((!std::filesystem::exists(repository) || listed(repository).empty()));

    cluster.wait_until_whole();
    for (std::size_t node = 0; node < nodes; ++node) {
        wait_until_idle(cluster.at(node));
    }
    CHECK(back_up(cluster.at(0), {"--repository", repository}).exit_code == 0);
    verify(repository, "latest");
}

TEST_CASE("a repository that somebody else writes to is locked for a cluster, too") {
    const Cluster& cluster = shared_cluster();
    const TempDir files;
    const auto repository = files / "repository";
    auto& disk = hot_backup::posix_file_system();
    const auto opened = hot_backup::Repository::open_or_create(disk, repository);
    const hot_backup::Lock lock(disk, opened.directory(), "prune");
    CHECK_THAT(check_one_error(back_up(cluster.at(0), {"--repository", repository}), 11),
               Catch::Contains("locked"));
}

TEST_CASE("a node that is down is missed, unless it may be missing") {
    Cluster& cluster = shared_cluster();
    Broker& down = cluster.at(2);
    const TempDir files;
    const auto repository = files / "repository";
    const std::map<std::string, std::string> effects{
        {"classic-down", "lost"}, {"quorum-down", "degraded"}, {"stream-down", "degraded"}};
    {
        AmqpClient client(down.amqp_port());
        for (const auto& type : queue_types()) {
            client.declare_queue(type + "-down", {.arguments = {{"x-queue-type", {type}}}});
        }
    }
    down.kill9();
    const CliResult refused = back_up(cluster.at(0), {"--repository", repository});
    CHECK_THAT(check_one_error(refused, 1), Catch::Contains(down.node()));
    CHECK_THAT(refused.output, Catch::Contains("--allow-missing"));

    const json summary = summary_of(
        back_up(cluster.at(0), {"--repository", repository, "--allow-missing", down.node()}));
    CHECK(summary.at("parts").size() == nodes - 1);
    REQUIRE(summary.at("missing").size() == 1);
    CHECK(summary.at("missing").at(0).at("node") == down.node());
    CHECK(summary.at("affected") == effects.size());
    REQUIRE(summary.at("warnings").size() == 1);
    CHECK_THAT(
        summary.at("warnings").at(0).get<std::string>(),
        Catch::Contains(down.node() + " could not take part") && Catch::Contains("3 queues"));
    verify(repository, "latest");
    std::map<std::string, std::string> shown;
    const auto described = run_cli({"show", "--repository", repository, "--json"}).line("summary");
    for (const auto& queue : described.at("affected_queues")) {
        shown[queue.at("name")] = queue.at("effect");
        CHECK(queue.at("members").size() == (queue.at("type") == "classic" ? 1 : nodes));
    }
    CHECK(shown == effects);

    down.start();
    cluster.wait_until_whole();
    wait_for("the plugin of the node that is back", std::chrono::seconds(60),
             [&] { return down.eval("is_pid(whereis(rabbit_hot_backup_part)).").is_atom("true"); });
    const json whole = summary_of(back_up(cluster.at(0), {"--repository", repository}));
    CHECK(whole.at("missing").empty());
    CHECK(whole.at("affected") == 0);
    AmqpClient client(down.amqp_port());
    for (const auto& [queue, effect] : effects) {
        client.delete_queue(queue);
    }
}

TEST_CASE("a cluster is one backup, and starts again from it") {
    Cluster& cluster = shared_cluster();
    fill(cluster);
    const json summary = summary_of(back_up(cluster.at(0)));
    const std::string id = summary.at("backup");
    CHECK(summary.at("kind") == "cluster");
    CHECK(summary.at("coordinator") == cluster.at(0).node());
    REQUIRE(summary.at("parts").size() == nodes);

    // The same backup wherever one looks, and no part passes for one.
    const TempDir files;
    std::vector<NodeImage> images;
    for (std::size_t number = 0; number < nodes; ++number) {
        const Broker& node = cluster.at(number);
        CHECK(listed(node.repository()) == std::vector{id});
        verify(node.repository(), id);
        const CliResult restored = run_cli({"restore", id, "--target-dir", files / "nodes",
                                            "--repository", node.repository(), "--json"});
        INFO(restored.output << restored.error_output);
        REQUIRE(restored.exit_code == 0);
        images.push_back({files / "nodes", node.node()});
    }
    cluster.kill9();

    const Cluster again(images, {.hot_backup = false});
    for (const auto& queue : queue_names()) {
        INFO(queue);
        CHECK(take_all(again.at(1), queue) == expected(queue));
    }
}
