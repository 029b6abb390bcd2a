// A backup, from the lock to the published manifest.
//
// Whatever fails on the way, nothing is listed: the writer removes what it wrote, the lock is given
// back, the plugin is told, and the plugin releases the checkpoint even when it can not be told any
// more.
#pragma once

#include "sidecar/engine/broker.hpp"
#include "sidecar/repository/manifest.hpp"
#include "sidecar/repository/repository.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hot_backup {

struct BackupRequest {
    std::string repository;  // a directory; made where it is missing
    std::optional<std::uint64_t> job =
        {};  // the plugin's number, when the plugin asked for the backup
    // In the place of the node's settings.
    std::optional<std::chrono::milliseconds> max_pause = {};
    std::optional<std::uint64_t> rate_limit = {};  // bytes a second
    // How long another writer of the repository is waited for.
    std::chrono::milliseconds lock_patience{0};
    std::optional<PartOrder> part = {};  // of a cluster backup; none: a backup of its own
};

// Hears how far a backup is, for every message that was written. `total` is 0 when unknown.
using ProgressListener =
    std::function<void(std::string_view phase, std::uint64_t done, std::uint64_t total)>;

struct BackupResult {
    std::string id;
    Summary summary;
    std::vector<std::string>
        warnings;  // what could not be backed up, such as an unreadable configuration file
};

// Makes a backup of the broker's node, or its part in one of the cluster. Throws Error; then there
// is no backup.
BackupResult back_up(Broker& broker, FileSystem& file_system, const BackupRequest& request,
                     const ProgressListener& listener);

}  // namespace hot_backup
