// A directory for a broker that is thrown away, and the promise that it is thrown away.
//
// It is private (0700), named rabbitmq-hot-backup-boot-XXXXXX, and locked (flock) while anybody
// uses it: this process, and the broker that inherits the lock. The destructor removes it. What a
// killed process left has no lock any more: whoever makes the next one removes it.
#pragma once

#include "sidecar/repository/descriptor.hpp"
#include "sidecar/repository/file_system.hpp"

#include <cstdint>
#include <string_view>

namespace hot_backup {

class ScratchDirectory {
public:
    // Below `parent`; removes the leftovers there first. Error failed: there is no such directory,
    // no permission, or less than `needed` bytes are free.
    ScratchDirectory(const Path& parent, std::uint64_t needed);
    ScratchDirectory(const ScratchDirectory&) = delete;
    ScratchDirectory& operator=(const ScratchDirectory&) = delete;
    // Whoever uses it has ended.
    ~ScratchDirectory();

    const Path& path() const noexcept { return path_; }
    // For those who use it: they keep it open.
    int lock() const noexcept { return lock_.number(); }

    // Writes `text` beside the directory, where it stays, and returns the file's name.
    Path leave(std::string_view text) const;

private:
    Path path_;
    Descriptor lock_;
};

// The directory that the environment names for temporary files (TMPDIR), else /var/tmp, for /tmp is
// often in memory.
Path default_scratch_parent();

}  // namespace hot_backup
