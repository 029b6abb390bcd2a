// The broker as the engine sees it: the operations of docs/protocol.md, typed.
//
// A Broker is one session with the plugin. Every function throws hot_backup::Error: the plugin's
// own error, a missed deadline, a lost connection, or an answer that the protocol does not have.
// Not thread-safe.
#pragma once

#include "erlang_port/connection.hpp"
#include "sidecar/repository/manifest.hpp"

#include <chrono>
#include <cstdint>
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

struct NodeDescription {
    std::vector<PluginVersion> plugins;
    std::string data_dir;
    std::vector<ConfigurationFile> configuration;
};

struct Checkpoint {
    std::string store;
    std::vector<std::string> tables;
    std::vector<SkippedTable> skipped;
    Timestamp instant;
    std::uint64_t activation_us = 0;  // how long the activation took
};

// What a stream carried, by the plugin's and our count alike.
struct StreamCounts {
    std::uint64_t messages = 0;
    std::uint64_t bytes = 0;
    std::uint64_t items = 0;
};

// How a job ended, for the plugin's history.
struct JobOutcome {
    std::string backup;            // the ID, when it is done
    std::uint64_t bytes = 0;       // content bytes, when it is done
    const Error* error = nullptr;  // when it is not; code `interrupted` counts as cancelled
};

class Broker {
public:
    // Says hello. `interrupt` is called often while an operation waits; it throws to end the wait.
    explicit Broker(std::unique_ptr<erlang::Channel> channel, std::function<void()> interrupt = {});

    const NodeIdentity& identity() const noexcept { return identity_; }

    // From now on this one is called instead.
    void on_interrupt(std::function<void()> interrupt);
    // Called when the plugin asks for the end of the job with this number.
    void on_cancel(std::function<void(std::uint64_t job)> cancel);

    // Takes the node's one job slot. `job` is the number that the plugin gave, when it asked for
    // the backup.
    std::uint64_t begin_job(const std::string& repository, std::optional<std::uint64_t> job);
    void end_job(std::uint64_t job, const JobOutcome& outcome);
    // Tells the plugin how far the job is; `total` is 0 when unknown.
    void report_progress(std::uint64_t job, std::string_view phase, std::uint64_t done,
                         std::uint64_t total);

    NodeDescription describe();

    // Reads what has arrived. To be called now and then while nothing is asked of the plugin: a
    // node drops the connection of a C node that leaves its ticks unanswered for a minute.
    // A lost connection is no error here.
    void keep_alive() noexcept;

    Checkpoint begin_checkpoint();
    // Streams the checkpoint's items: `consume` gets external terms, each a list of items.
    StreamCounts stream_checkpoint(const std::function<void(std::string_view payload)>& consume);
    void end_checkpoint();

    // The plugin's next request for a backup; nothing when the session is over.
    struct BackupOrder {
        std::uint64_t job = 0;
        std::string repository;
    };
    std::optional<BackupOrder> next_order();

private:
    erlang::Connection connection_;
    NodeIdentity identity_;
};

}  // namespace hot_backup
