// Marks: what is learnt of a backup after it was published, kept beside its manifest, which never
// changes. docs/format.md, "Marks".
//
// Each mark is a small file of its own that is replaced as a whole; the last writer wins. Nobody
// needs the Lock for it: a backup can be protected, and a verification can note what it found,
// while another backup is made for an hour. What must not happen side by side, a protection and the
// deletion of the same backup, is kept apart by a MarksLock, which nobody holds for long.
#pragma once

#include "sidecar/repository/mark_file.hpp"

namespace hot_backup {

// A protected backup is not deleted.
struct Protection {
    std::optional<Timestamp> when;  // none: the mark cannot be read, and protects all the same
    std::string reason;             // may be empty
    bool operator==(const Protection&) const = default;
};

// The last time somebody looked whether the backup is good.
struct Check {
    Timestamp when;                 // its end
    std::uint64_t findings = 0;     // 0: it is
    std::uint64_t duration_us = 0;  // how long it took
    std::uint64_t bytes = 0;        // read and compared; of a drill, restored
    std::string program;            // its version
    std::string rabbitmq_version;   // of the broker that a drill booted; else empty
    bool operator==(const Check&) const = default;
};

enum class CheckKind {
    verified,  // by checksums
    booted,    // by a restore drill
};

struct Marks {
    std::optional<Protection> protection;
    std::optional<Check> verified;
    std::optional<Check> booted;
    bool operator==(const Marks&) const = default;
};

// What is known of a backup. A check that cannot be read, because it is damaged or a newer version
// wrote it, is none; a protection that cannot be read protects.
Marks read_marks(const Repository& repository, std::string_view backup_id);
// For a deletion: throws the Error of the system when its mark may be there and cannot be opened.
bool is_protected(const Repository& repository, std::string_view backup_id);
// The Error for a deletion of a protected backup.
Error protected_error(const Repository& repository, std::string_view backup_id);

// Each is on stable storage when its function returns. Error not_found: there is no such backup.
// Error locked: another process held the MarksLock for ten seconds.
void protect(const Repository& repository, std::string_view backup_id,
             const Protection& protection);
// Returns whether it was protected.
bool unprotect(const Repository& repository, std::string_view backup_id);
// `findings`: what was found, as `--json` prints it; the first most_kept_findings of it are kept.
void record_check(const Repository& repository, std::string_view backup_id, CheckKind kind,
                  const Check& check, const std::vector<OrderedJson>& findings = {});
inline constexpr std::size_t most_kept_findings = 1000;
// Those of the last check; none when its mark cannot be read.
std::vector<Json> read_findings(const Repository& repository, std::string_view backup_id,
                                CheckKind kind);

// The names of the marks that a backup has, such as "ID.protected".
std::vector<std::string> list_marks(const Repository& repository, std::string_view backup_id);

// Removes marks of backups other than `backup_ids` and those that were never finished; leaves it to
// the next sweep when a mark is being written just now. For who holds the Lock.
void sweep_marks(const Repository& repository, const std::vector<std::string>& backup_ids);

}  // namespace hot_backup
