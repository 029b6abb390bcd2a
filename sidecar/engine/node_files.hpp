// Where the files of a node are, and whether there is room for a copy of them.
#pragma once

#include "sidecar/capture/live_copy.hpp"
#include "sidecar/engine/broker.hpp"
#include "sidecar/repository/file_system.hpp"

#include <cstdint>
#include <vector>

namespace hot_backup {

// Where the files of the node are, by their place in the image. Error failed: they are not to be
// seen from here, since the node runs on another machine or in another container; or the repository
// lies within one of them, so that a backup would hold backups.
std::vector<CaptureRoot> roots_of(const NodeDescription& description, const Path& repository);
std::vector<CaptureRoot> single_files_of(const NodeDescription& description);

// Looks after the space on the repository's disk. Where the node uses the same disk, the backup
// must not be what makes RabbitMQ block its publishers (disk_free_limit).
class SpaceGuard {
public:
    // `repository` exists. All outlive the guard.
    SpaceGuard(FileSystem& file_system, const Path& repository,
               const std::vector<CaptureRoot>& roots, std::uint64_t disk_free_limit);

    // Error failed: so many bytes do not fit, or no more do.
    void check(std::uint64_t bytes = 0) const;

private:
    FileSystem& file_system_;
    const Path& repository_;
    std::uint64_t reserve_ = 0;  // bytes that are to stay free
};

}  // namespace hot_backup
