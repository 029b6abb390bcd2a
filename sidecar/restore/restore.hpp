// Makes a node's directory again from a backup: `restore --target-dir`.
//
// All is written beside the target under a name that no broker uses, checked extent by extent while
// it is written, made durable, and only then given its name: a restore that was cut off leaves
// nothing that could be booted by mistake, and the next one removes it.
//
//     TARGET                   the data directory, where RABBITMQ_MNESIA_DIR leads
//     TARGET-feature_flags     where the version keeps it beside the data directory
//     TARGET-configuration/    rabbitmq.conf, advanced.config, ... as the node had them
#pragma once

#include "sidecar/repository/repository.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace hot_backup {

struct RestoreOptions {
    Path target = {};      // the data directory to make
    bool force = false;    // what is there already is moved aside, never deleted
    bool salvage = false;  // goes on where bytes are damaged; what they belong to is left out
    // "USER" or "USER:GROUP". None: as root the owner of what is replaced, or of the directory
    // around it; else the caller.
    std::optional<std::string> owner = {};
    bool durable = true;  // false: for a directory that is thrown away, nothing is synced
};

// A file that is not, or not as a whole, in the restored directory (only with `salvage`).
struct LostFile {
    std::string path;  // within the backup
    std::string reason;
};

// What the node was configured to keep elsewhere than by default (RABBITMQ_QUORUM_DIR, ...), and
// has at the default place now.
struct MovedPart {
    std::string role;  // "quorum", "quorum_wal", "stream", "feature_flags"
    Path from;
    Path to;
};

struct RestoredNode {
    std::string node;
    std::string rabbitmq_version;
    Path data_directory;
    std::optional<Path> feature_flags;  // the file beside the data directory
    std::optional<Path> configuration;  // the directory beside it
    std::vector<Path> moved_aside;      // where `force` moved what was there
    Path original_data_directory;
    std::vector<MovedPart> moved_parts;
    std::uint64_t files = 0;
    std::uint64_t bytes = 0;
    std::vector<LostFile> lost;
};

struct RestoreCallbacks {
    std::function<void(std::uint64_t done, std::uint64_t total)> progress;  // in bytes
    // Called often; throws to end the restore.
    std::function<void()> interrupt;
};

// `backup_id` as Repository::resolve() gives it. Error usage: the target is not empty, or may not
// be made. Error failed: a running node uses it, there is no space or no permission, or the backup
// holds no files of the node. Error damaged: the bytes are not what was written; nothing is left at
// the target then. Memory: one extent for each of a few threads.
RestoredNode restore_node(const Repository& repository, const std::string& backup_id,
                          const RestoreOptions& options, const RestoreCallbacks& callbacks = {});

}  // namespace hot_backup
