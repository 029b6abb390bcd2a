// The broker as the engine sees it: the operations of docs/protocol.md, typed.
//
// A Broker is one session with the plugin. Every function throws hot_backup::Error: the plugin's
// own error, a missed deadline, a lost connection, or an answer that the protocol does not have.
// Not thread-safe.
#pragma once

#include "erlang_port/connection.hpp"
#include "sidecar/definitions/queue_statistics.hpp"
#include "sidecar/repository/manifest.hpp"

#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hot_backup {

// What the plugin tells of its node in the hello.
struct NodeIdentity {
    std::string node;
    std::string cluster;
    std::string rabbitmq_version;
    std::string erlang_version;
    std::string plugin_version;
    std::string metadata_store;        // "mnesia" or "khepri"
    std::vector<std::string> members;  // of the cluster, running or not, this node too
};

// One of the node's configuration files; either content or the reason why the node could not read
// it.
struct ConfigurationFile {
    std::string role;  // path within the backup's configuration/
    std::string path;  // on the node
    std::optional<std::string> content;
    std::uint32_t mode = 0;
    Timestamp mtime;
    std::string error;
};

// A directory or file of the node, by what it is for.
struct NodePath {
    std::string role;
    std::string path;
};

struct NodeDescription {
    std::vector<PluginVersion> plugins;
    std::string data_dir;
    std::uint64_t data_dir_inode = 0;
    std::string boot_id;                // of the kernel that the node runs on
    std::uint64_t disk_free_limit = 0;  // bytes, below which RabbitMQ blocks its publishers
    std::vector<NodePath> directories;  // "quorum", "stream": in data_dir or elsewhere
    std::vector<NodePath> files;        // "feature_flags"
    std::vector<ConfigurationFile> configuration;
};

// A job, and the node's settings for it.
struct Job {
    std::uint64_t number = 0;
    std::chrono::milliseconds max_pause{};
    std::uint64_t rate_limit = 0;  // bytes a second; 0: none
};

// Mnesia's log at a moment when all that was committed was in it.
struct MetadataLog {
    std::string path;  // empty where there is none
    std::uint64_t size = 0;
    std::uint64_t inode = 0;
};

struct Checkpoint {
    std::string store;
    std::vector<std::string> tables;
    std::vector<SkippedTable> skipped;
    Timestamp instant;
    // How long the activation took; of Khepri, how long changes of metadata waited for the export.
    std::uint64_t activation_us = 0;
    MetadataLog log;
    bool has_metadata = true;  // one node of a cluster streams the metadata of all
};

// How a stop of the whole VM went: docs/protocol.md, "The stop".
struct Stop {
    // `apart`: the nodes of the cluster did not all stand still at one moment.
    enum class Outcome { held, committed, late, refused, apart };
    Outcome outcome = Outcome::held;
    Timestamp instant;
    std::uint64_t acquisition_us = 0;
    std::uint64_t hold_us = 0;
    std::uint64_t pause_us = 0;
    // How long metadata could not be changed, where that was longer: a node with Khepri.
    std::optional<std::uint64_t> store_us;
};

// What a stream carried, by the plugin's and our count alike.
struct StreamCounts {
    std::uint64_t messages = 0;
    std::uint64_t bytes = 0;
    std::uint64_t items = 0;
};

// What a queue says of itself.
struct ServedQueue {
    std::string vhost;
    std::string name;
    std::string type;   // as Queue::type
    std::string state;  // "running", or why it does not serve: "down", "crashed", "no_answer", ...
    // Where its members are; of a classic queue, where it itself is. None where nobody knows.
    std::vector<std::string> nodes = {};
    std::optional<std::uint64_t> ready;           // messages
    std::optional<std::uint64_t> unacknowledged;  // messages
    std::string directory;                        // of a stream, below the node's stream directory
    std::optional<std::uint64_t> first_offset;    // of a stream with something in it
    std::optional<std::uint64_t> last_offset;

    bool running() const noexcept { return state == "running"; }
    // Whether it can run where only these nodes do: it needs more than half of its own.
    bool can_run_on(const std::vector<std::string>& running_nodes) const;
};

// How a job ended, for the plugin's history.
struct JobOutcome {
    std::string backup;            // the ID, when it is done
    std::uint64_t bytes = 0;       // content bytes, when it is done
    const Error* error = nullptr;  // when it is not; code `interrupted` counts as cancelled
};

// A part in the backup of a whole cluster.
struct PartOrder {
    std::string cluster_backup;        // its ID
    std::string coordinator;           // the node that was asked for it
    std::vector<std::string> missing;  // nodes of the cluster that are not in it
};

class Broker {
public:
    // Says hello. `interrupt` is called often while an operation waits; it throws to end the wait.
    explicit Broker(std::unique_ptr<erlang::Channel> channel, std::function<void()> interrupt = {});

    const NodeIdentity& identity() const noexcept { return identity_; }

    // From now on this one is called instead.
    void on_interrupt(std::function<void()> interrupt);
    // Called as often, besides. It must not use the Broker.
    void on_wait(std::function<void()> chore);
    // Called when the plugin asks for the end of the job with this number.
    void on_cancel(std::function<void(std::uint64_t job)> cancel);

    // Takes the node's one job slot. `job` is the number that the plugin gave, when it asked for
    // the backup.
    Job begin_job(const std::string& repository, std::optional<std::uint64_t> job);
    void end_job(std::uint64_t job, const JobOutcome& outcome);
    // Tells the plugin how far the job is; `total` is 0 when unknown.
    void report_progress(std::uint64_t job, std::string_view phase, std::uint64_t done,
                         std::uint64_t total);

    NodeDescription describe();

    // Reads what has arrived. To be called now and then while nothing is asked of the plugin: a
    // node drops the connection of a C node that leaves its ticks unanswered for a minute.
    // A lost connection is no error here.
    void keep_alive() noexcept;
    // The same where the plugin is still needed: a lost connection and an interrupt are errors.
    void look_up();
    // Does that for so long.
    void wait(std::chrono::milliseconds time);

    // With `lock`, whoever wants to change metadata waits until the next stop is over, for a second
    // at the most. In a cluster's backup it returns when every node has come as far.
    Checkpoint begin_checkpoint(bool lock = false);
    // Holds the whole VM, calls `capture`, and lets go. `capture` says whether it got everything;
    // it is called at most once, and not when the VM could not be held in time. What it throws is
    // thrown once the VM runs again.
    Stop stop(std::chrono::milliseconds max_pause, const std::function<bool()>& capture);
    // Streams the checkpoint's items: `consume` gets external terms, each a list of items.
    StreamCounts stream_checkpoint(const std::function<void(std::string_view payload)>& consume);
    void end_checkpoint();
    // How many messages each queue has, as far as the node knows.
    void stream_statistics(const std::function<void(const QueueStatistics&)>& consume);
    // What each durable queue of the node says that it holds. Each has so long to say it.
    void stream_inventory(std::chrono::milliseconds timeout,
                          const std::function<void(const ServedQueue&)>& consume);

    // Any other operation: for a layer that types its own.
    erlang::Map call(const std::string& operation, erlang::Map arguments,
                     std::chrono::milliseconds timeout);

    // The plugin's next request for a backup; nothing when the session is over.
    struct BackupOrder {
        std::uint64_t job = 0;
        std::string repository;
        std::chrono::milliseconds lock_patience{0};
        std::optional<PartOrder> part;
        // As in BackupRequest.
        std::optional<std::chrono::milliseconds> max_pause;
        std::optional<std::uint64_t> rate_limit;
    };
    std::optional<BackupOrder> next_order();

private:
    using Pairs = std::vector<std::pair<std::string_view, erlang::Term>>;
    StreamCounts stream(const std::string& operation,
                        const std::function<void(std::string_view payload)>& consume,
                        Pairs arguments = {});
    // Of a stream whose items are maps.
    void stream_maps(const std::string& operation, Pairs arguments,
                     const std::function<void(const erlang::Map&)>& consume);
    void hear_notice(const std::string& topic, const erlang::Map& details);
    void capture_now(std::uint64_t stop);

    erlang::Connection connection_;
    NodeIdentity identity_;
    std::function<void()> interrupt_;
    std::function<void()> chore_;
    std::function<void(std::uint64_t)> cancel_;
    // Of the stop that is being asked for.
    std::function<bool()> capture_;
    std::exception_ptr capture_error_;
};

}  // namespace hot_backup
