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
// (2) The second one gets Error locked: both need the Lock. Parts of one cluster backup are created
//     at the same time: they share it.
// (3) A backup that was protected first stays; one that was deleted first cannot be protected.
//
// A backup of a cluster has an ID as one of a node has. Its manifest names parts, each with a
// manifest of its own, here or in other repositories; a part is not listed as a backup. A part
// whose cluster manifest is not here is in doubt: who made it was cut off before it knew whether
// the parts of all nodes became a backup. It stays until somebody who knows settles it.
//
// A Repository holds no open file and no state that can grow old; several threads may use one.
#pragma once

#include "sidecar/repository/cluster_manifest.hpp"
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

// A part of a cluster backup that has its manifest in a repository.
struct PartHere {
    std::string backup;          // its own ID
    std::string cluster_backup;  // that of the whole
    bool operator==(const PartHere&) const = default;
};

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

    // Its UUID: the same wherever its directory is moved to.
    const std::string& id() const noexcept { return id_; }
    // Absolute.
    const Path& directory() const noexcept { return directory_; }
    FileSystem& file_system() const noexcept { return *file_system_; }

    Path manifests() const { return directory_ / "manifests"; }
    Path cluster_manifests() const { return directory_ / "clusters"; }
    Path packs() const { return directory_ / "packs"; }
    Path marks() const { return directory_ / "marks"; }
    Path manifest_path(std::string_view backup_id) const;
    Path cluster_path(std::string_view cluster_id) const;
    Path pack_path(std::string_view pack_name) const;

    // The IDs of all backups, of nodes and of clusters, oldest first. They are listed whether or
    // not they can be read.
    std::vector<std::string> list() const;
    // The ID that the operator means: an ID, the beginning of exactly one, or `latest`; of a part
    // its whole ID. Error not_found: there is none; Error usage: there are several.
    std::string resolve(std::string_view text) const;
    // Whether the backup, of a node or of a cluster, or the part is there, readable or not.
    bool has_backup(std::string_view backup_id) const;
    // The Error not_found for a backup that is not there.
    Error no_such_backup(std::string_view text) const;
    // The same for one that went away while it was "verified", "read".
    Error deleted_error(std::string_view backup_id, std::string_view activity) const;
    // Of a backup of a node, or of a part. The seal is checked. Errors as of ManifestReader;
    // not_found names the backup, usage says that it is a cluster's.
    ManifestReader read_manifest(std::string_view backup_id) const;
    // One file of a backup. Error not_found when the backup does not have it.
    FileEntry find_file(std::string_view backup_id, std::string_view path) const;
    PackReader open_pack(std::string_view pack_name,
                         PackReader::From from = PackReader::From::cache) const;

    // The IDs of all cluster backups that have a manifest here, oldest first.
    std::vector<std::string> clusters() const;
    bool has_cluster(std::string_view cluster_id) const;
    // Errors as of read_cluster_manifest(); not_found names the backup.
    ClusterManifest read_cluster(std::string_view cluster_id) const;
    // The IDs of those parts of a cluster backup that have a manifest here, in doubt or not, oldest
    // first.
    std::vector<std::string> parts_here(std::string_view cluster_id) const;
    // Whether just this part is here: its manifest has the named length and digest.
    bool has_part(const ClusterPart& part) const;
    // The ID of the cluster backup that the manifest is of a part of. Nothing when it is of a
    // backup of its own, or there is none.
    std::optional<std::string> cluster_of(std::string_view backup_id) const;
    // The parts in doubt, oldest first.
    std::vector<PartHere> in_doubt() const;
    // Makes the parts that `text` (of to_text()) names a backup. Nothing is done when it is there
    // already with the same bytes. Error failed: a part that should be here is not as named, the ID
    // is taken, or other bytes are there; damaged: it is no manifest of this cluster backup.
    void publish_cluster(const Lock& lock, std::string_view cluster_id,
                         std::string_view text) const;

    // The highest ID that a backup, a part or a pack here has; empty when there is none.
    std::string last_id() const;

    struct Swept {
        std::uint64_t packs = 0;  // removed
        std::uint64_t bytes = 0;  // their length
        std::uint64_t kept =
            0;  // packs kept only because a manifest that cannot be read may name them
    };
    // Removes what unfinished backups left: temporary files, and packs and marks of no backup.
    // Parts in doubt stay, and what others of the lock's group write. Error locked, here and below:
    // the lock was lost, and what is left stays.
    Swept sweep(const Lock& lock) const;
    // Takes the manifest of a backup away, readable or not: it is no backup any more, and sweep()
    // removes the rest. Of a cluster backup also the manifests of its parts here, in doubt or not.
    // False, and nothing is done, when it is protected. Error not_found: there is no such backup;
    // failed: it is a part of a cluster backup that is there.
    bool withdraw(const Lock& lock, std::string_view backup_id) const;
    // Deletes a backup: withdraw() and sweep(). Error kept: it is protected.
    Swept remove(const Lock& lock, std::string_view backup_id) const;
    // Removes the parts in doubt of a cluster backup that is known to have failed. Error failed:
    // its manifest is here, so it has not.
    Swept discard_doubtful(const Lock& lock, std::string_view cluster_id) const;

private:
    Repository(FileSystem& file_system, Path directory, std::string id)
        : file_system_(&file_system), directory_(std::move(directory)), id_(std::move(id)) {}

    bool has_manifest(std::string_view backup_id) const;
    // publish_cluster() after all is checked but what is there already.
    void write_cluster(const Lock& lock, std::string_view cluster_id, std::string_view text) const;
    // Of backups and of parts.
    std::vector<std::string> list_manifests() const;
    std::optional<ManifestHead> read_manifest_head(std::string_view backup_id) const;
    // Whether the manifest of this cluster backup says that it is a part.
    bool is_named_by_cluster(std::string_view backup_id, std::string_view cluster_id) const;
    // But for those of IDs above `spared`, if that is one.
    void remove_temporaries(std::string_view spared) const;
    // Of `packs`, those that a backup needs, or may need if it cannot be read.
    struct Needed;
    Needed find_needed(const std::set<std::string>& packs) const;

    FileSystem* file_system_;
    Path directory_;
    std::string id_;
};

}  // namespace hot_backup
