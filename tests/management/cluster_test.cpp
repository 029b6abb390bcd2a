// On a member of a cluster the API and the commands back up all of it, and each node knows the
// backup as its own.
#include "tests/harness/cluster.hpp"
#include "tests/harness/amqp_client.hpp"
#include "tests/harness/cli.hpp"
#include "tests/harness/temp_dir.hpp"
#include "tests/harness/wait.hpp"
#include "tests/management/support.hpp"

#include <catch2/catch.hpp>

namespace {

using namespace management_tests;
using namespace std::chrono_literals;

const harness::Cluster& managed_cluster() {
    static const harness::Cluster cluster(2, {.plugins = {"rabbitmq_management"}});
    return cluster;
}

// Of a node that has just joined.
harness::HttpClient ready_administrator(const harness::Broker& node) {
    const auto client = administrator(node);
    harness::wait_for("the API", 60s,
                      [&] { return client.request("GET", api + "/status").status == 200; });
    return client;
}

}  // namespace

TEST_CASE("a backup asked for by the API is one of all nodes, and known on each of them") {
    const auto& cluster = managed_cluster();
    harness::AmqpClient(cluster.at(0).amqp_port()).declare_queue("known everywhere");
    const Json job = run_job(ready_administrator(cluster.at(1)), "/backups");
    CHECK(job.at("state") == "done");
    const std::string id = job.at("backup");
    for (std::size_t node = 0; node < cluster.size(); ++node) {
        const auto client = ready_administrator(cluster.at(node));
        wait_until_idle(client);
        const Json backups = call(client, "GET", "/backups", 200);
        REQUIRE(backups.size() == 1);
        CHECK(backups.at(0).at("backup") == id);
        CHECK(backups.at(0).at("kind") == "cluster");
        const Json shown = call(client, "GET", "/backups/" + id, 200);
        CHECK(shown.at("coordinator") == cluster.at(1).node());
        CHECK(shown.at("parts").size() == cluster.size());
        const std::string backup = "/backups/" + id;
        CHECK(call(client, "GET", backup + "/files", 200).at("total_count") > 0);
        CHECK_FALSE(call(client, "GET", backup + "/configuration", 200).empty());
        const auto& other = cluster.at(1 - node).node();
        CHECK(call(client, "GET", backup + "/files?node=" + other, 200).at("total_count") > 0);
        call(client, "GET", backup + "/files?node=nobody", 400);
        // The metadata of all is in one part.
        const Json queues = call(client, "GET", backup + "/queues", 200);
        REQUIRE(queues.at("items").size() == 1);
        CHECK(queues.at("items").at(0).at("name") == "known everywhere");
        CHECK(shown.at("vhosts").size() == 1);
        CHECK(call(client, "GET", backup + "/definitions", 200).at("users").size() == 1);
        for (const char* path :
             {"/status", "/jobs", "/health/checks/last-verified/within/1/days"}) {
            call(client, "GET", path, 200);
        }
        const auto pause = cluster.at(node).eval(
            "{Backups, _} = rabbit_hot_backup_catalogue:list(),"
            " {ok, Newest} = rabbit_hot_backup_listing:newest("
            "rabbit_hot_backup_listing:of_node(Backups)),"
            " {ok, Pause} = rabbit_hot_backup_listing:pause_us(Newest), Pause.");
        CHECK(pause.as_unsigned().value_or(0) > 0);
    }
}

TEST_CASE("how far all nodes are is told wherever one looks") {
    const auto& cluster = managed_cluster();
    const auto first = ready_administrator(cluster.at(0));
    const auto second = ready_administrator(cluster.at(1));
    const auto limit = [&](const std::string& bytes) {
        cluster.at(1).eval("application:set_env(rabbitmq_hot_backup, rate_limit, " + bytes + ").");
    };
    // One that takes minutes.
    limit("5000");
    const Json job = call(first, "POST", "/backups", 201);
    for (const auto* client : {&first, &second}) {
        harness::wait_for("the progress of both", 60s, [&] {
            const Json jobs = call(*client, "GET", "/jobs", 200);
            const Json& nodes = jobs.at(0).at("nodes");
            return nodes.is_array() && nodes.size() == 2 && nodes.at(0).at("bytes_done") > 0 &&
                   nodes.at(1).at("bytes_done") > 0;
        });
    }
    CHECK(call(second, "GET", "/status", 200).at("running").at(0).at("nodes").size() == 2);
    call(first, "DELETE", "/jobs/" + std::to_string(job.at("id").get<int>()), 202);
    for (const auto* client : {&first, &second}) {
        wait_until_idle(*client);
        CHECK(call(*client, "GET", "/jobs", 200).at(0).at("state") == "cancelled");
        CHECK(call(*client, "GET", "/jobs", 200).at(0).at("nodes").is_null());
    }
    limit("0");
}

TEST_CASE("what is made of many backups in a row is known, and nothing of the plugin fails") {
    const auto& cluster = managed_cluster();
    for (int round = 0; round < 10; ++round) {
        const auto& coordinator = cluster.at(static_cast<std::size_t>(round) % cluster.size());
        run_job(ready_administrator(coordinator), "/backups");
        // The other node has not got the manifest yet, and takes part in nothing else until then.
        for (std::size_t node = 0; node < cluster.size(); ++node) {
            wait_until_idle(ready_administrator(cluster.at(node)));
        }
    }
    for (std::size_t node = 0; node < cluster.size(); ++node) {
        const auto client = ready_administrator(cluster.at(node));
        wait_until_idle(client);
        CHECK(call(client, "GET", "/backups", 200).size() == 11);
        CHECK(settled_log(cluster.at(node)).find("terminating") == std::string::npos);
    }
}

TEST_CASE("who wants one node only says so") {
    const auto& cluster = managed_cluster();
    const auto client = ready_administrator(cluster.at(0));
    const Json job = run_job(client, "/backups", {{"this_node", true}});
    CHECK(job.at("state") == "done");
    const Json shown = call(client, "GET", "/backups/" + job.at("backup").get<std::string>(), 200);
    CHECK(shown.at("kind") == "full");
    const Json refused = call(client, "POST", "/backups", 400, {{"allow_missing", "no array"}});
    CHECK(refused.at("reason").get<std::string>().find("allow_missing") != std::string::npos);
}

TEST_CASE("rabbitmqctl backs up the cluster") {
    const auto& cluster = managed_cluster();
    const auto back_up = [&](std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), "hot_backup");
        // RabbitMQ before 3.10.12 finds commands of a plugin in a directory only so.
        const auto done =
            cluster.at(0).tool("rabbitmqctl", arguments, {{"ERL_LIBS", HOT_BACKUP_PLUGINS_DIR}});
        INFO(done.output << done.error_output);
        CHECK(done.exit_code == 0);
        return done.output;
    };
    const std::string said = back_up({});
    const Json newest = call(administrator(cluster.at(1)), "GET", "/backups", 200).at(0);
    CHECK(newest.at("kind") == "cluster");
    CHECK(said.find(newest.at("backup").get<std::string>()) != std::string::npos);
    CHECK(back_up({"--this-node"}).find(" is done") != std::string::npos);
    const auto list = cluster.at(0).tool("rabbitmqctl", {"list_hot_backups"},
                                         {{"ERL_LIBS", HOT_BACKUP_PLUGINS_DIR}});
    CHECK(list.exit_code == 0);
    CHECK(list.output.find(newest.at("backup").get<std::string>()) != std::string::npos);
}

TEST_CASE("a cluster's backup is booted where all its parts are") {
    const auto& cluster = managed_cluster();
    const auto client = ready_administrator(cluster.at(0));
    const std::string apart = make_backup(client);
    const Json refused = run_job(client, "/backups/" + apart + "/drill");
    CHECK(refused.at("state") == "failed");
    CHECK(refused.at("error").at("message").get<std::string>().find(cluster.at(1).node()) !=
          std::string::npos);

    const harness::TempDir files;
    for (std::size_t node = 0; node < cluster.size(); ++node) {
        cluster.at(node).eval("application:set_env(rabbitmq_hot_backup, repository, \"" +
                              (files / "shared").string() + "\").");
    }
    const std::string shared = make_backup(client);
    const Json drill = run_job(client, "/backups/" + shared + "/drill");
    INFO(drill.dump());
    CHECK(drill.at("state") == "done");
    CHECK(call(client, "GET", "/backups/" + shared, 200).at("booted").at("outcome") == "same");
}
