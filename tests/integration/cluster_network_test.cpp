// A backup of a cluster whose network delays, loses and is cut.
#include "tests/harness/cli.hpp"
#include "tests/harness/datagrams.hpp"
#include "tests/harness/wait.hpp"
#include "tests/integration/network_cluster.hpp"
#include "tests/integration/support.hpp"

#include <catch2/catch.hpp>

#include <iostream>

using namespace harness;
using namespace integration;
using namespace std::chrono_literals;
using nlohmann::json;

namespace {

NetworkCluster& shared() {
    static NetworkCluster cluster;
    return cluster;
}

constexpr Moment moments[] = {
    {Role::participant, "join"},   {Role::coordinator, "join"},      {Role::participant, "ready"},
    {Role::coordinator, "ready"},  {Role::participant, "armed"},     {Role::coordinator, "armed"},
    {Role::participant, "hold"},   {Role::coordinator, "hold"},      {Role::participant, "held"},
    {Role::coordinator, "held"},   {Role::participant, "prepared"},  {Role::coordinator, "publish"},
    {Role::participant, "commit"}, {Role::coordinator, "published"},
};

bool is_published_at(const Moment& moment) {
    const std::string_view step = moment.step;
    return step == "publish" || step == "published" || step == "commit";
}

}  // namespace

TEST_CASE("all nodes stand still together over a network that delays and loses") {
    auto& network = shared().network();
    network.set_one_way_delay(1ms);
    network.set_loss(0.01);
    for (std::size_t node = 0; node < NetworkCluster::nodes; ++node) {
        const TempDir files;
        const Broker& coordinator = shared().cluster().at(node);
        const CliResult created = run_cli(create_arguments(coordinator, files / "repository"),
                                          coordinator.client_options());
        INFO(created.output << created.error_output);
        REQUIRE(created.exit_code == 0);
        const json summary = created.line("summary");
        CHECK(summary.at("stop").at("round_trip_us") >= 2000);
        // The last one to stop did so before the first one went on.
        REQUIRE(summary.at("parts").size() == NetworkCluster::nodes);
        for (const auto& part : summary.at("parts")) {
            CHECK(part.at("began_us") <= 0);
            CHECK(part.at("ended_us") > 0);
        }
        CHECK(check_listed_is_whole(files / "repository") == 1);
    }
    shared().check_logged_pauses();
    network.set_loss(0);
}

TEST_CASE("a partition that is over soon costs no backup") {
    auto& network = shared().network();
    std::size_t round = 0;
    for (const Moment& moment : moments) {
        INFO(moment);
        HaltedBackup backup(shared(), round++ % NetworkCluster::nodes, moment);
        network.isolate(backup.victim());
        const auto before = network.kept_back();
        backup.go_on();
        // Nodes say each second that they are there, and TCP repeats what does not arrive.
        wait_for("some that does not arrive", 10s,
                 [&] { return network.kept_back() >= before + 8; });
        network.heal();
        CHECK(backup.finish());
        shared().wait_until_idle(all_nodes());
        backup.check_pauses(all_nodes());
    }
    shared().check_logged_pauses();
}

TEST_CASE("a partition that lasts costs the backup, and nothing else") {
    auto& network = shared().network();
    std::size_t round = 0;
    for (const Moment& moment : moments) {
        INFO(moment);
        HaltedBackup backup(shared(), round++ % NetworkCluster::nodes, moment);
        network.isolate(backup.victim());
        backup.go_on();
        CHECK(backup.finish() == is_published_at(moment));
        // Each node by itself: the network is still cut.
        shared().wait_until_idle(all_nodes());
        backup.check_pauses(all_nodes());
        network.heal();
        shared().restart_application(backup.victim());
        shared().check_next_backup();
    }
    shared().check_logged_pauses();
}

TEST_CASE("a partition in one direction costs the backup, and nothing else") {
    auto& network = shared().network();
    std::size_t round = 0;
    for (const Moment& moment :
         {Moment{Role::coordinator, "ready"}, Moment{Role::participant, "armed"},
          Moment{Role::coordinator, "held"}}) {
        INFO(moment);
        HaltedBackup backup(shared(), round++ % NetworkCluster::nodes, moment);
        for (const auto other : others(backup.victim())) {
            network.block(backup.victim(), other);
        }
        backup.go_on();
        CHECK_FALSE(backup.finish());
        shared().wait_until_idle(all_nodes());
        backup.check_pauses(all_nodes());
        network.heal();
        shared().restart_application(backup.victim());
        shared().check_next_backup();
    }
}

TEST_CASE("participants that do not reach each other leave nothing") {
    auto& network = shared().network();
    std::size_t round = 0;
    for (const char* step : {"ready", "hold", "prepared"}) {
        const Moment moment{Role::participant, step};
        INFO(moment);
        HaltedBackup backup(shared(), round++ % NetworkCluster::nodes, moment);
        const std::size_t other = (backup.victim() + 1) % NetworkCluster::nodes;
        REQUIRE(other != backup.coordinator());
        network.block(backup.victim(), other);
        network.block(other, backup.victim());
        // Long enough for both to have given up each other, before anything goes on.
        const Broker& broker = backup.victim_broker();
        const auto is_lost =
            "not lists:member('" + shared().cluster().at(other).node() + "', nodes()).";
        wait_for("that it is noticed", 30s, [&] { return broker.eval(is_lost).is_atom("true"); });
        backup.go_on();
        // The coordinator reaches both: what they need each other for decides.
        backup.finish();
        shared().wait_until_idle(all_nodes());
        backup.check_pauses(all_nodes());
        network.heal();
        shared().restart_application(backup.victim());
        shared().check_next_backup();
    }
    shared().check_logged_pauses();
}
