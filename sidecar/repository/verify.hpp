// Proves that a backup can be read: every byte of it is read again, from the disk rather than the
// page cache where the system lets us, and compared with its digest.
#pragma once

#include "sidecar/repository/repository.hpp"

#include <functional>

namespace hot_backup {

// One thing that is not as it was written.
struct Finding {
    enum class What { manifest, pack, file };
    What what = What::file;
    std::string
        name;  // a file: its path in the backup; a manifest or pack: its path in the repository
    std::string pack;           // a file: where its first damaged extent lies
    std::uint64_t offset = 0;   // a file: and the extent's offset there
    std::uint64_t extents = 0;  // a file: how many of its extents are damaged
    std::string reason;
};

struct VerifyReport {
    std::string backup_id;
    std::uint64_t files = 0;  // read, damaged ones included
    std::uint64_t bytes = 0;  // stored bytes read and compared
    std::vector<Finding> findings;

    bool whole() const noexcept { return findings.empty(); }
};

struct VerifyCallbacks {
    // Called a few times per second's worth of reading; both in stored bytes.
    std::function<void(std::uint64_t done, std::uint64_t total)> progress;
    // Called as often; throws to end the verification.
    std::function<void()> interrupt;
};

// Damage is a finding, and the verification goes on to the end. Throws Error where it cannot tell:
// no such backup (not_found, also when it is deleted meanwhile), one of a newer version, no
// permission to read. Memory: one extent and one file's line.
VerifyReport verify_backup(const Repository& repository, const std::string& backup_id,
                           const VerifyCallbacks& callbacks = {});

}  // namespace hot_backup
