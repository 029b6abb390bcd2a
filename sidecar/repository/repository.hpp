// A repository: a directory of backups. docs/format.md.
//
// What may run at the same time, in any number of processes:
//
//            | read   | verify | create | delete
//     read   | yes    | yes    | yes    | yes (1)
//     verify |        | yes    | yes    | yes (1)
//     create |        |        | no (2) | no (2)
//     delete |        |        |        | no (2)
//     mark   | yes    | yes    | yes    | yes (3)
//
// (1) Reading the very backup that is being deleted ends in Error not_found.
// (2) The second one gets Error locked: both need the Lock.
// (3) A backup that was protected first stays; one that was deleted first cannot be protected.
//
// A Repository holds no open file and no state that can grow old; several threads may use one.
#pragma once

#include "sidecar/repository/lock.hpp"
#include "sidecar/repository/manifest.hpp"
#include "sidecar/repository/pack.hpp"
#include "sidecar/repository/random_uuid.hpp"

#include <set>

namespace hot_backup {

// What a new repository says about itself.
struct RepositoryBirth {
    std::string id = random_uuid();
    Timestamp created = now();
};

// The content of its repository.json.
std::string repository_description(const RepositoryBirth& birth);

class Repository {
public:
    // Error not_found: nothing there, or an empty directory. Error failed: something else is there,
    // a newer version wrote it, or we may not read it. Error damaged: its repository.json is not
    // what was written. Each has its own message and hint.
    static Repository open(FileSystem& file_system, const Path& directory);
    // As open(); where nothing is, or an empty directory (or what an interrupted creation left),
    // makes a repository. The parent directory must exist.
    static Repository open_or_create(FileSystem& file_system, const Path& directory,
                                     const RepositoryBirth& birth = {});

    // Absolute.
    const Path& directory() const noexcept { return directory_; }
    FileSystem& file_system() const noexcept { return *file_system_; }

    Path manifests() const { return directory_ / "manifests"; }
    Path packs() const { return directory_ / "packs"; }
    Path marks() const { return directory_ / "marks"; }
    Path manifest_path(std::string_view backup_id) const;
    Path pack_path(std::string_view pack_name) const;

    // The IDs of all backups, oldest first. They are listed whether or not they can be read.
    std::vector<std::string> list() const;
    // The ID that the operator means: an ID, the beginning of exactly one, or `latest`. Error
    // not_found: there is none; Error usage: there are several.
    std::string resolve(std::string_view text) const;
    // Whether the backup is there, readable or not.
    bool has_backup(std::string_view backup_id) const;
    // The Error not_found for a backup that is not there.
    Error no_such_backup(std::string_view text) const;
    // The same for one that went away while it was "verified", "read".
    Error deleted_error(std::string_view backup_id, std::string_view activity) const;
    // The seal is checked. Errors as of ManifestReader; not_found names the backup.
    ManifestReader read_manifest(std::string_view backup_id) const;
    // One file of a backup. Error not_found when the backup does not have it.
    FileEntry find_file(std::string_view backup_id, std::string_view path) const;
    PackReader open_pack(std::string_view pack_name,
                         PackReader::From from = PackReader::From::cache) const;

    // The highest ID that a backup or a pack here has; empty when there is none.
    std::string last_id() const;

    struct Swept {
        std::uint64_t packs = 0;  // removed
        std::uint64_t bytes = 0;  // their length
        std::uint64_t kept =
            0;  // packs kept only because a manifest that cannot be read may name them
    };
    // Removes what unfinished backups left: temporary files, and packs and marks of no backup.
    // Error locked, here and below: the lock was lost, and what is left stays.
    Swept sweep(const Lock& lock) const;
    // Takes the manifest of a backup away, readable or not: it is no backup any more, and sweep()
    // removes the rest. False, and nothing is done, when it is protected. Error not_found: there
    // is no such backup.
    bool withdraw(const Lock& lock, std::string_view backup_id) const;
    // Deletes a backup: withdraw() and sweep(). Error failed: it is protected.
    Swept remove(const Lock& lock, std::string_view backup_id) const;

private:
    Repository(FileSystem& file_system, Path directory)
        : file_system_(&file_system), directory_(std::move(directory)) {}

    void remove_temporaries() const;
    // Of `packs`, those that a backup needs, or may need if it cannot be read.
    struct Needed;
    Needed find_needed(const std::set<std::string>& packs) const;

    FileSystem* file_system_;
    Path directory_;
};

}  // namespace hot_backup
