// A broker booted from a backup, to be looked at and thrown away.
//
// It has the node's own name and data and shares nothing with the node or any other: an epmd, a
// cookie, a HOME and logs of its own, listeners on 127.0.0.1 only, no other host's name, no
// connection to another node, none of the plugins but ours. It ends with this process, however that
// ends (child_process.hpp), so start it on the main thread. It runs as the user who runs this
// program, so that the files it leaves are his. Its time of day is the instant of the backup
// (clock.cpp): no message expires that had not expired then.
#pragma once

#include "erlang_port/node_connection.hpp"
#include "sidecar/restore/restore.hpp"
#include "sidecar/sandbox/sandbox_configuration.hpp"
#include "sidecar/sandbox/scratch_directory.hpp"

#include <chrono>
#include <functional>
#include <optional>
#include <string>

namespace hot_backup {

struct SandboxOptions {
    RabbitmqInstallation rabbitmq;
    Path plugins;         // own_plugins_directory()
    Path preloaded;       // own_preloaded_library()
    Path scratch_parent;  // the scratch directory is made in it
    std::chrono::seconds boot_timeout{600};
};

class Sandbox {
public:
    // Boots; returns once the broker serves. `restored` lies within `scratch`, which outlives the
    // sandbox. Error failed: it did not boot, or not in time. What `interrupt` throws ends the
    // wait.
    Sandbox(const RestoredNode& restored, Timestamp instant, const ScratchDirectory& scratch,
            const SandboxOptions& options, const std::function<void()>& interrupt);

    const std::string& node() const noexcept { return plan_.restored.node; }
    // How to connect to it as a node.
    erlang::NodeOptions connection() const;
    // On 127.0.0.1. Its users are those of the backup.
    std::uint16_t amqp_port() const noexcept { return plan_.ports.amqp; }

private:
    void start(const ScratchDirectory& scratch);
    void wait_until_serving(std::chrono::seconds timeout);
    bool is_serving(std::optional<erlang::NodeConnection>& connection);
    void throw_if_ended();

    SandboxPlan plan_;
    std::function<void()> interrupt_;
    std::optional<ChildProcess> epmd_;
    std::optional<ChildProcess> broker_;
};

struct BootCallbacks : RestoreCallbacks {
    // Called between the restore and the boot, which changes the files.
    std::function<void(const RestoredNode&)> restored = {};
};

// A backup restored into a directory of its own and booted. All of it is gone with the object.
class BootedBackup {
public:
    // `summary` is that of the backup. Error as of restore_node() and Sandbox.
    BootedBackup(const Repository& repository, const std::string& backup_id, const Summary& summary,
                 const SandboxOptions& options, const BootCallbacks& callbacks);

    const RestoredNode& restored() const noexcept { return restored_; }
    Sandbox& sandbox() noexcept { return *sandbox_; }
    std::chrono::duration<double> restore_time() const noexcept { return restore_time_; }
    std::chrono::duration<double> boot_time() const noexcept { return boot_time_; }

    // Runs `use`. Should it fail, the broker's log is kept, and the error's hint names it; the boot
    // is used so too. An interrupt is no failure.
    void keep_log_of(const std::function<void()>& use);

private:
    void boot(const Summary& summary, const SandboxOptions& options,
              const std::function<void()>& interrupt);

    ScratchDirectory scratch_;
    RestoredNode restored_;
    std::optional<Sandbox> sandbox_;
    std::chrono::duration<double> restore_time_{};
    std::chrono::duration<double> boot_time_{};
};

}  // namespace hot_backup
