// The brokers of a backup, booted from it, to be looked at and thrown away: one of a node's backup,
// all together of a cluster's.
//
// They have the nodes' own names and data and share nothing with those or any other: epmds, a
// cookie, HOMEs and logs of their own, listeners on 127.0.0.1 only, no names of other hosts, no
// connection to other nodes, none of the plugins but ours. They end with this process, however that
// ends (child_process.hpp), so start them on the main thread. They run as the user who runs this
// program, so that the files they leave are his. Their time of day is a week before the instant of
// the backup (clock.cpp): no message expires that had not expired then.
#pragma once

#include "erlang_port/node_connection.hpp"
#include "sidecar/repository/whole_backup.hpp"
#include "sidecar/restore/restore.hpp"
#include "sidecar/sandbox/sandbox_configuration.hpp"
#include "sidecar/sandbox/scratch_directory.hpp"

#include <chrono>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace hot_backup {

struct SandboxOptions {
    RabbitmqInstallation rabbitmq;
    Path plugins;         // own_plugins_directory()
    Path preloaded;       // own_preloaded_library()
    Path scratch_parent;  // the scratch directory is made in it
    std::chrono::seconds boot_timeout{600};
};

// What decides how the restored nodes come up.
struct SandboxStart {
    Timestamp instant;  // of the backup
    // Not all members of the cluster are there, or nobody knows: the node with this number does not
    // wait for others to say what was last. None: all are there.
    std::optional<std::size_t> force_boot;
};

class Sandbox {
public:
    // Boots all nodes at the same time; returns once they serve and know each other to. `restored`
    // lie within `scratch`, which outlives the sandbox. Error failed: one did not boot, or not in
    // time. What `interrupt` throws ends the wait.
    Sandbox(const std::vector<RestoredNode>& restored, const SandboxStart& start,
            const ScratchDirectory& scratch, const SandboxOptions& options,
            const std::function<void()>& interrupt);

    std::size_t size() const noexcept { return plans_.size(); }
    // Nodes are numbered as they were given.
    const std::string& node(std::size_t number) const { return plans_.at(number).restored.node; }
    // How to connect to it as a node.
    erlang::NodeOptions connection(std::size_t number) const;
    // On 127.0.0.1. Its users are those of the backup.
    std::uint16_t amqp_port(std::size_t number) const { return plans_.at(number).ports.amqp; }

private:
    void plan(const std::vector<RestoredNode>& restored, const SandboxStart& start,
              const ScratchDirectory& scratch, const SandboxOptions& options);
    void start(const ScratchDirectory& scratch);
    void wait_until_serving(std::chrono::seconds timeout);
    void throw_if_ended();

    std::vector<SandboxPlan> plans_;
    std::function<void()> interrupt_;
    std::deque<ChildProcess> epmds_;  // of each host
    std::deque<ChildProcess> brokers_;
};

struct BootCallbacks {
    // How far the restore of a node is, in bytes.
    std::function<void(const std::string& node, std::uint64_t done, std::uint64_t total)> progress;
    // Called often; throws to end the restore or the boot.
    std::function<void()> interrupt;
    // Called between the restore and the boot, which changes the files.
    std::function<void(const std::vector<RestoredNode>&)> restored = {};
};

// A backup restored into a directory of its own and booted. All of it is gone with the object.
class BootedBackup {
public:
    // Error as of restore_node() and Sandbox.
    BootedBackup(const WholeBackup& backup, const SandboxOptions& options,
                 const BootCallbacks& callbacks);

    // In the order of the backup's nodes, as those of the sandbox.
    const std::vector<RestoredNode>& restored() const noexcept { return restored_; }
    Sandbox& sandbox() noexcept { return *sandbox_; }
    std::chrono::duration<double> restore_time() const noexcept { return restore_time_; }
    std::chrono::duration<double> boot_time() const noexcept { return boot_time_; }

    // Runs `use`. Should it fail, the brokers' logs are kept, and the error's hint names the file;
    // the boot is used so too. An interrupt is no failure.
    void keep_log_of(const std::function<void()>& use);

private:
    void restore(const WholeBackup& backup, const BootCallbacks& callbacks);
    void boot(const WholeBackup& backup, const SandboxOptions& options,
              const std::function<void()>& interrupt);

    ScratchDirectory scratch_;
    std::vector<RestoredNode> restored_;
    std::optional<Sandbox> sandbox_;
    std::chrono::duration<double> restore_time_{};
    std::chrono::duration<double> boot_time_{};
};

}  // namespace hot_backup
