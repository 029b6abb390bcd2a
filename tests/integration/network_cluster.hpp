// A cluster of three brokers in a network of its own (tests/harness/network.hpp), and a backup of
// it that stands at a step of our choice: what a fault is to meet there.
#pragma once

#include "tests/harness/cluster.hpp"
#include "tests/harness/network.hpp"
#include "tests/harness/process.hpp"
#include "tests/harness/temp_dir.hpp"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace integration {

// The coordinator has been asked for the backup, the others take part.
enum class Role { coordinator, participant };

struct Moment {
    Role role;
    // What the node of that role has got and not looked at yet: cluster_probe.erl, break_at/1.
    const char* step;
};
std::ostream& operator<<(std::ostream& out, const Moment& moment);

// What this machine itself did not run for: the longest time for which a thread of the test that
// wants to run each millisecond did not. Other work on the machine, or below it, is no stop.
class MachineWatch {
public:
    MachineWatch();
    std::chrono::milliseconds longest() const noexcept { return longest_.load(); }

private:
    std::atomic<std::chrono::milliseconds> longest_{};
    std::jthread thread_;  // last: it uses the member above
};

class NetworkCluster {
public:
    static constexpr std::size_t nodes = 3;

    // With `spare` further hosts, on which there is nothing.
    explicit NetworkCluster(harness::BrokerOptions options = {}, std::size_t spare = 0);

    harness::Network& network() noexcept { return network_; }
    harness::Cluster& cluster() noexcept { return cluster_; }
    const harness::BrokerOptions& options() const noexcept { return options_; }

    // After its node was lost to the others: as an operator does it with a node that was in a
    // partition. And after that it is a member again that backups can be made with.
    void restart_application(std::size_t node);
    void wait_until_whole();
    // Nothing runs for a backup on these nodes, and none is held.
    void wait_until_idle(const std::vector<std::size_t>& nodes);
    // Makes a backup and verifies it.
    void check_next_backup();
    // No stop in the logs of the nodes was longer than allowed.
    void check_logged_pauses();

private:
    MachineWatch machine_;
    harness::BrokerOptions options_;
    harness::Network network_;
    harness::Cluster cluster_;
};

// A backup that `create` has ordered of one node, into one repository for all.
class HaltedBackup {
public:
    // Returns when the node of that role has come to that moment, and stands there.
    HaltedBackup(NetworkCluster& cluster, std::size_t coordinator, const Moment& moment,
                 const std::vector<std::string>& arguments = {});

    std::size_t coordinator() const noexcept { return coordinator_; }
    // The node that stands.
    std::size_t victim() const noexcept { return victim_; }
    harness::Broker& victim_broker() { return cluster_.cluster().at(victim_); }
    harness::Process& create() noexcept { return create_; }
    std::filesystem::path repository() const { return files_ / "repository"; }

    // The node that stands goes on.
    void go_on();

    // Waits for the end of `create`. It says that there is a backup, or one clear error; there is
    // one or none accordingly, and none that is not whole. Returns whether there is one.
    bool finish(std::chrono::seconds patience = std::chrono::seconds(60));
    // The same where `create` is not asked: whether there is a backup.
    bool finish_without_create();
    // On none of these nodes did a process that wants to run each millisecond wait for longer than
    // a stop may take. Ends the watch there.
    void check_pauses(const std::vector<std::size_t>& nodes);

private:
    NetworkCluster& cluster_;
    std::size_t coordinator_;
    std::size_t victim_;
    harness::TempDir files_;
    MachineWatch machine_;
    harness::Process create_;
};

// All nodes but one.
std::vector<std::size_t> others(std::size_t node);
std::vector<std::size_t> all_nodes();

}  // namespace integration
