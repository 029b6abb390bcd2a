// Cluster backups in a repository: their manifests, their parts, and parts in doubt.
#include "sidecar/repository/identifier.hpp"
#include "sidecar/repository/names.hpp"
#include "sidecar/repository/repository.hpp"

#include <algorithm>

namespace hot_backup {
namespace {

constexpr auto mistake_hint = "Report this: it is a mistake in rabbitmq-hot-backup.";

Error not_published(std::string_view cluster_id, const std::string& reason,
                    const std::string& hint) {
    return {ErrorCode::failed,
            "cluster backup " + std::string(cluster_id) + " is not published: " + reason, hint};
}

std::string read_whole(FileSystem& file_system, const Path& path) {
    const auto file = file_system.open(path);
    std::string text(file->status().size, '\0');
    text.resize(file->read_at(0, text));
    return text;
}

}  // namespace

Path Repository::cluster_path(std::string_view cluster_id) const {
    return cluster_manifests() / std::string(cluster_id).append(cluster_suffix);
}

std::vector<std::string> Repository::clusters() const {
    // The directory is there from the first cluster backup on.
    if (!file_system_->status(cluster_manifests())) {
        return {};
    }
    auto ids = list_by_suffix(*file_system_, cluster_manifests(), cluster_suffix);
    std::erase_if(ids, [](const std::string& id) { return !is_backup_id(id); });
    return ids;
}

bool Repository::has_cluster(std::string_view cluster_id) const {
    return is_backup_id(cluster_id) && file_system_->status(cluster_path(cluster_id));
}

ClusterManifest Repository::read_cluster(std::string_view cluster_id) const {
    if (!has_cluster(cluster_id)) {
        throw no_such_backup(cluster_id);
    }
    return read_cluster_manifest(*file_system_, cluster_path(cluster_id), cluster_id);
}

bool Repository::has_part(const ClusterPart& part) const {
    if (!has_manifest(part.backup)) {
        return false;
    }
    const auto file = file_system_->open(manifest_path(part.backup));
    if (part.manifest_bytes < seal_size || file->status().size != part.manifest_bytes) {
        return false;
    }
    std::string seal(seal_size, '\0');
    seal.resize(file->read_at(part.manifest_bytes - seal_size, seal));
    return parse_seal(seal) == part.manifest_digest;
}

std::optional<ManifestHead> Repository::read_manifest_head(std::string_view backup_id) const {
    try {
        const auto file = file_system_->open(manifest_path(backup_id));
        std::string head(longest_manifest_head, '\0');
        head.resize(file->read_at(0, head));
        return parse_manifest_head(std::string_view(head).substr(0, head.find('\n')));
    } catch (const Error&) {
        return std::nullopt;  // it cannot be read, which is said by who reads all of it
    }
}

bool Repository::is_named_by_cluster(std::string_view backup_id,
                                     std::string_view cluster_id) const {
    try {
        const auto manifest = read_cluster(cluster_id);
        return std::any_of(manifest.parts.begin(), manifest.parts.end(),
                           [&](const ClusterPart& part) {
                               return part.repository == id_ && part.backup == backup_id;
                           });
    } catch (const Error&) {
        return false;
    }
}

std::optional<std::string> Repository::cluster_of(std::string_view backup_id) const {
    if (!has_manifest(backup_id)) {
        return std::nullopt;
    }
    if (const auto head = read_manifest_head(backup_id)) {
        return head->cluster_backup.empty() ? std::nullopt : std::optional(head->cluster_backup);
    }
    // A part whose manifest is damaged is still no backup of its own.
    for (const std::string& cluster_id : clusters()) {
        if (is_named_by_cluster(backup_id, cluster_id)) {
            return cluster_id;
        }
    }
    return std::nullopt;
}

std::vector<std::string> Repository::parts_here(std::string_view cluster_id) const {
    auto ids = list_manifests();
    std::erase_if(ids, [&](const std::string& id) { return cluster_of(id) != cluster_id; });
    return ids;
}

std::vector<PartHere> Repository::in_doubt() const {
    std::vector<PartHere> parts;
    for (const std::string& id : list_manifests()) {
        if (auto cluster_id = cluster_of(id); cluster_id && !has_cluster(*cluster_id)) {
            parts.push_back({id, std::move(*cluster_id)});
        }
    }
    return parts;
}

void Repository::publish_cluster(const Lock& lock, std::string_view cluster_id,
                                 std::string_view text) const {
    const Path path = cluster_path(cluster_id);
    const auto manifest = parse_cluster_manifest(std::string(text), cluster_id, path);
    if (!is_backup_id(cluster_id)) {
        throw not_published(cluster_id, "that is not the ID of a backup", mistake_hint);
    }
    for (const ClusterPart& part : manifest.parts) {
        if (part.repository == id_ && !has_part(part)) {
            throw not_published(
                cluster_id,
                "the part of " + part.node + ", " + part.backup + ", is not in repository " +
                    directory_.string() + " as it was made",
                "See whether somebody deletes from this repository; then make the backup again.");
        }
    }
    lock.exclusively([&] {
        lock.throw_unless_held();
        write_cluster(lock, cluster_id, text);
    });
}

void Repository::write_cluster(const Lock& lock, std::string_view cluster_id,
                               std::string_view text) const {
    const Path path = cluster_path(cluster_id);
    if (has_cluster(cluster_id)) {
        if (read_whole(*file_system_, path) != text) {
            throw not_published(cluster_id, "another one with this ID is in the repository",
                                mistake_hint);
        }
        return;
    }
    if (has_manifest(cluster_id)) {
        throw not_published(cluster_id, "a backup of a node has this ID",
                            "Make the backup again: it gets another ID.");
    }
    file_system_->make_directory(cluster_manifests());
    file_system_->inherit_owner(cluster_manifests());
    file_system_->sync_directory(directory_);
    const Path temporary = Path(path) += temporary_suffix;
    file_system_->remove(temporary);
    const auto file = file_system_->create(temporary);
    file_system_->inherit_owner(temporary);
    file->append(text);
    file->sync();
    lock.throw_unless_held();
    file_system_->rename(temporary, path);
    file_system_->sync_directory(cluster_manifests());
}

}  // namespace hot_backup
