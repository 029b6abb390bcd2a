// What goes: deletions, and what unfinished backups left.
#include "sidecar/repository/identifier.hpp"
#include "sidecar/repository/marks.hpp"
#include "sidecar/repository/names.hpp"
#include "sidecar/repository/repository.hpp"

#include <algorithm>

namespace hot_backup {
namespace {

std::vector<std::string> list_packs(FileSystem& file_system, const Path& directory) {
    auto names = list_by_suffix(file_system, directory, pack_suffix);
    std::erase_if(names, [](const std::string& name) { return !is_pack_name(name); });
    return names;
}

// Whether the file belongs to a part that somebody else writes: `spared` is the ID below all of
// these, or empty.
bool is_spared(std::string_view name, std::string_view spared) {
    return !spared.empty() && name.substr(0, spared.size()) > spared;
}

}  // namespace

std::string Repository::last_id() const {
    std::string last;
    for (const auto& ids : {list_manifests(), clusters()}) {
        if (!ids.empty()) {
            last = std::max(last, ids.back());
        }
    }
    for (const std::string& name : list_packs(*file_system_, packs())) {
        last = std::max(last, std::string(backup_of_pack(name)));
    }
    return last;
}

void Repository::remove_temporaries(std::string_view spared) const {
    for (const Path& directory : {manifests(), cluster_manifests()}) {
        if (!file_system_->status(directory)) {
            continue;  // no cluster backup was ever here
        }
        for (const auto& stem : list_by_suffix(*file_system_, directory, temporary_suffix)) {
            if (!is_spared(stem, spared)) {
                file_system_->remove(directory / (stem + std::string(temporary_suffix)));
            }
        }
        // No manifest that was removed may come back after a power cut when its packs are gone.
        file_system_->sync_directory(directory);
    }
}

struct Repository::Needed {
    std::set<std::string> packs;
    std::string last_unreadable;  // the highest ID whose manifest cannot be read
};

Repository::Needed Repository::find_needed(const std::set<std::string>& packs) const {
    Needed needed;
    // A manifest names no pack of a later backup.
    const std::string_view earliest = backup_of_pack(*packs.begin());
    for (const std::string& id : list_manifests()) {
        if (id < earliest) {
            continue;
        }
        try {
            ManifestReader manifest = read_manifest(id);
            while (const auto entry = manifest.next_file()) {
                for (const Extent& extent : entry->extents) {
                    if (packs.contains(extent.pack)) {
                        needed.packs.insert(extent.pack);
                    }
                }
            }
        } catch (const Error&) {
            needed.last_unreadable = id;
        }
    }
    return needed;
}

Repository::Swept Repository::sweep(const Lock& lock) const {
    lock.throw_unless_held();
    const std::string spared = lock.begin_of_others();
    remove_temporaries(spared);

    const std::vector<std::string> ids = list_manifests();
    auto marked = clusters();
    marked.insert(marked.end(), ids.begin(), ids.end());
    std::sort(marked.begin(), marked.end());
    sweep_marks(*this, marked);
    // The packs whose own backup is gone: deleted, or never published.
    std::set<std::string> orphans;
    for (std::string& name : list_packs(*file_system_, packs())) {
        if (!is_spared(name, spared) &&
            !std::binary_search(ids.begin(), ids.end(), backup_of_pack(name), std::less<>())) {
            orphans.insert(std::move(name));
        }
    }
    Swept swept;
    if (orphans.empty()) {
        return swept;
    }
    const Needed needed = find_needed(orphans);
    for (const std::string& name : orphans) {
        if (needed.packs.contains(name)) {
            continue;
        }
        if (backup_of_pack(name) <= needed.last_unreadable) {
            ++swept.kept;
            continue;
        }
        const auto status = file_system_->status(pack_path(name));
        // A pack may be that of a new holder's unfinished backup.
        lock.throw_unless_held();
        file_system_->remove(pack_path(name));
        swept.packs += 1;
        swept.bytes += status ? status->size : 0;
    }
    return swept;
}

bool Repository::withdraw(const Lock& lock, std::string_view backup_id) const {
    // From the look at the mark until the manifest is gone, nobody protects the backup.
    const MarksLock marks_lock(*this);
    const auto parts = parts_here(backup_id);
    if (!has_backup(backup_id) && parts.empty()) {
        throw no_such_backup(backup_id);
    }
    if (const auto whole = cluster_of(backup_id); whole && has_cluster(*whole)) {
        throw Error(ErrorCode::failed,
                    std::string(backup_id) + " is a part of cluster backup " + *whole +
                        ", and goes only with it",
                    "Delete the whole: `rabbitmq-hot-backup delete " + *whole + "`.");
    }
    if (is_protected(*this, backup_id)) {
        return false;
    }
    lock.throw_unless_held();
    if (has_cluster(backup_id)) {
        // First, and for good: what is left without its parts must not look like a backup.
        file_system_->remove(cluster_path(backup_id));
        file_system_->sync_directory(cluster_manifests());
    }
    file_system_->remove(manifest_path(backup_id));
    for (const std::string& part : parts) {
        file_system_->remove(manifest_path(part));
    }
    return true;
}

Repository::Swept Repository::remove(const Lock& lock, std::string_view backup_id) const {
    if (!withdraw(lock, backup_id)) {
        throw protected_error(*this, backup_id);
    }
    return sweep(lock);
}

Repository::Swept Repository::discard_doubtful(const Lock& lock,
                                               std::string_view cluster_id) const {
    if (has_cluster(cluster_id)) {
        throw Error(ErrorCode::failed,
                    "cluster backup " + std::string(cluster_id) +
                        " is not discarded: its manifest is in repository " + directory_.string(),
                    "If it is to go, delete it.");
    }
    Swept swept;
    lock.exclusively([&] {
        lock.throw_unless_held();
        for (const std::string& part : parts_here(cluster_id)) {
            file_system_->remove(manifest_path(part));
        }
        swept = sweep(lock);
    });
    return swept;
}

}  // namespace hot_backup
