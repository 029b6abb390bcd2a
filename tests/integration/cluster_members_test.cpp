// A node joins, leaves or is forgotten while the cluster is backed up: the backup is whole, of the
// nodes that it names, or there is one error.
#include "tests/harness/wait.hpp"
#include "tests/integration/network_cluster.hpp"
#include "tests/integration/support.hpp"

#include <catch2/catch.hpp>

#include <memory>
#include <set>

using namespace harness;
using namespace integration;
using namespace std::chrono_literals;
using nlohmann::json;

namespace {

using Names = std::set<std::string>;

NetworkCluster& shared() {
    static NetworkCluster cluster({}, 1);
    return cluster;
}

Names members() {
    Names names;
    for (const auto number : all_nodes()) {
        names.insert(shared().cluster().at(number).node());
    }
    return names;
}

// A node that is no member yet.
std::unique_ptr<Broker> start_another() {
    BrokerOptions options = shared().options();
    options.cookie = shared().cluster().cookie();
    options.host = &shared().network().host(NetworkCluster::nodes);
    return std::make_unique<Broker>(options);
}

void wait_for_running(std::size_t count) {
    for (const auto number : all_nodes()) {
        const Broker& broker = shared().cluster().at(number);
        wait_for(std::to_string(count) + " running nodes at " + broker.node(), 60s, [&] {
            return broker.eval("length(rabbit_hot_backup_compat:running()).").as_unsigned() ==
                   count;
        });
    }
}

void join(Broker& broker) {
    shared().cluster().join(broker);
    wait_for_running(NetworkCluster::nodes + 1);
    wait_for("its plugin", 60s, [&] {
        return broker.eval("is_pid(whereis(rabbit_hot_backup_part)).").is_atom("true");
    });
}

void leave(const Broker& broker) {
    broker.rabbitmqctl({"stop_app"});
    broker.rabbitmqctl({"reset"});
    broker.rabbitmqctl({"start_app"});
    wait_for_running(NetworkCluster::nodes);
}

json summary_of(HaltedBackup& backup) {
    for (const json& line : json_lines(backup.create().output())) {
        if (line.at("message_type") == "summary") {
            return line;
        }
    }
    return {};
}

Names names_of(const json& nodes) {
    Names names;
    for (const json& node : nodes) {
        names.insert(node.at("node").get<std::string>());
    }
    return names;
}

// Whole, of these nodes, or one error.
void check_end(HaltedBackup& backup, const Names& nodes) {
    backup.go_on();
    if (backup.finish()) {
        CHECK(names_of(summary_of(backup).at("parts")) == nodes);
    }
    shared().wait_until_idle(all_nodes());
    backup.check_pauses(all_nodes());
}

bool retains(const Broker& broker) {
    return probe(broker, "held") != erlang::list({});
}

constexpr Moment moments[] = {
    {Role::participant, "ready"},      // before the checkpoint
    {Role::coordinator, "activated"},  // under it
    {Role::participant, "armed"},      // all wait for the stop
    {Role::participant, "held"},       // after it
    {Role::participant, "prepared"},
};

}  // namespace

TEST_CASE("a node that joins, and one that leaves") {
    const auto another = start_another();
    Names with_another = members();
    with_another.insert(another->node());
    std::size_t round = 0;
    const bool has_checkpoint = metadata_store(shared().cluster().at(0)) == "mnesia";
    for (const Moment& moment : moments) {
        if (moment.step == std::string("activated") && !has_checkpoint) {
            continue;
        }
        INFO(moment);
        {
            INFO("join");
            HaltedBackup backup(shared(), round++ % NetworkCluster::nodes, moment);
            join(*another);
            check_end(backup, members());
            CHECK_FALSE(retains(*another));
        }
        {
            INFO("leave");
            HaltedBackup backup(shared(), round++ % NetworkCluster::nodes, moment);
            leave(*another);
            check_end(backup, with_another);
            wait_for("the end of its part", 30s, [&] { return !retains(*another); });
        }
        shared().check_next_backup();
    }
}

TEST_CASE("a node that is forgotten") {
    for (const char* step : {"ready", "held"}) {
        INFO(step);
        const auto another = start_another();
        join(*another);
        another->kill9();
        wait_for_running(NetworkCluster::nodes);
        HaltedBackup backup(shared(), 0, {Role::participant, step},
                            {"--allow-missing", another->node()});
        shared().cluster().at(0).rabbitmqctl({"forget_cluster_node", another->node()});
        check_end(backup, members());
        shared().check_next_backup();
    }
}
