#include "sidecar/repository/repository.hpp"

#include "sidecar/repository/identifier.hpp"
#include "sidecar/repository/json_fields.hpp"
#include "sidecar/repository/marks.hpp"

#include <algorithm>
#include <system_error>

namespace hot_backup {
namespace {

constexpr std::string_view format = "rabbitmq-hot-backup repository";
constexpr unsigned version = 1;
constexpr std::string_view manifest_suffix = ".manifest";
constexpr std::string_view pack_suffix = ".pack";
constexpr std::string_view temporary_suffix = ".tmp";

Path absolute_directory(const Path& directory) {
    if (directory.empty()) {
        throw Error(ErrorCode::usage, "the path of the repository is empty",
                    "Name the directory of the repository, such as /var/backups/rabbitmq.");
    }
    std::error_code error;
    Path path = std::filesystem::absolute(directory, error);
    if (error) {
        // A relative path in a working directory that was deleted.
        throw Error(
            ErrorCode::failed,
            "cannot find the absolute path of " + directory.string() + ": " + error.message(),
            "Name the repository with a path that begins with a slash.");
    }
    path = path.lexically_normal();
    return path.has_filename() ? path : path.parent_path();
}

Path description_path(const Path& directory) {
    return directory / "repository.json";
}

// The names in a directory that end in `suffix`, without it.
std::vector<std::string> list_by_suffix(FileSystem& file_system, const Path& directory,
                                        std::string_view suffix) {
    std::vector<std::string> stems;
    for (std::string& name : file_system.list(directory)) {
        if (name.ends_with(suffix)) {
            name.resize(name.size() - suffix.size());
            stems.push_back(std::move(name));
        }
    }
    return stems;
}

std::vector<std::string> list_packs(FileSystem& file_system, const Path& directory) {
    auto names = list_by_suffix(file_system, directory, pack_suffix);
    std::erase_if(names, [](const std::string& name) { return !is_pack_name(name); });
    return names;
}

enum class Place { nothing, blank, repository, foreign, broken };

// What is in `directory`. What an interrupted creation leaves counts as blank.
Place examine(FileSystem& file_system, const Path& directory) {
    const auto status = file_system.status(directory);
    if (!status) {
        return Place::nothing;
    }
    if (status->type != FileStatus::Type::directory) {
        return Place::foreign;
    }
    if (file_system.status(description_path(directory))) {
        return Place::repository;
    }
    bool has_backups = false;
    for (const std::string& name : file_system.list(directory)) {
        if (name == "manifests" || name == "packs" || name == "marks") {
            has_backups = has_backups || !file_system.list(directory / name).empty();
        } else if (name != "lock" && name != "repository.json.tmp" && name != "lost+found") {
            return Place::foreign;
        }
    }
    return has_backups ? Place::broken : Place::blank;
}

Error foreign_error(const Path& directory) {
    return {
        ErrorCode::failed,
        directory.string() + " is not a repository: it holds other things, and no repository.json",
        "Choose a directory that is empty or does not exist yet, or the repository you meant."};
}

Error missing_error(const Path& directory, const char* what) {
    return {ErrorCode::damaged,
            "repository " + directory.string() + " is damaged: " + what + " is missing",
            "Put it back, from a copy of the repository if there is one."};
}

void check_description(FileSystem& file_system, const Path& directory) {
    SealedTextReader reader(file_system, description_path(directory));
    try {
        const Json json = parse_object(read_format_line(reader, format, version));
        const Fields fields(json);
        static_cast<void>(fields.text("id"));
        static_cast<void>(fields.time("created"));
    } catch (const BadField& bad) {
        throw reader.damaged(bad.what());
    }
}

// Makes what is in a repository; repository.json last.
void furnish(FileSystem& file_system, const Path& directory, const RepositoryBirth& birth) {
    for (const char* name : {"manifests", "packs"}) {
        file_system.make_directory(directory / name);
        file_system.inherit_owner(directory / name);
    }
    const Path temporary = directory / "repository.json.tmp";
    file_system.remove(temporary);
    const auto file = file_system.create(temporary);
    file_system.inherit_owner(temporary);
    file->append(repository_description(birth));
    file->sync();
    // repository.json says that the rest is there, so the rest must not be lost without it.
    file_system.sync_directory(directory);
    file_system.rename(temporary, description_path(directory));
    file_system.sync_directory(directory);
}

}  // namespace

std::string repository_description(const RepositoryBirth& birth) {
    return seal(to_line(OrderedJson{{"format", format},
                                    {"version", version},
                                    {"id", birth.id},
                                    {"created", to_text(birth.created)}}) +
                '\n');
}

Repository Repository::open(FileSystem& file_system, const Path& directory) {
    const Path path = absolute_directory(directory);
    const std::string hint = "A repository is made by its first backup.";
    switch (examine(file_system, path)) {
        case Place::nothing:
            throw Error(ErrorCode::not_found, "there is no repository at " + path.string(), hint);
        case Place::blank:
            throw Error(ErrorCode::not_found,
                        path.string() + " is empty: there is no repository yet", hint);
        case Place::foreign:
            throw foreign_error(path);
        case Place::broken:
            throw missing_error(path, "repository.json");
        case Place::repository:
            break;
    }
    check_description(file_system, path);
    for (const char* name : {"manifests", "packs"}) {
        if (!file_system.status(path / name)) {
            throw missing_error(path, name);
        }
    }
    return {file_system, path};
}

Repository Repository::open_or_create(FileSystem& file_system, const Path& directory,
                                      const RepositoryBirth& birth) {
    const Path path = absolute_directory(directory);
    const Place place = examine(file_system, path);
    if (place == Place::nothing || place == Place::blank) {
        if (!file_system.status(path.parent_path())) {
            throw Error(ErrorCode::not_found,
                        "cannot make the repository " + path.string() +
                            ": its parent directory does not exist",
                        "Create " + path.parent_path().string() + ", or choose another place.");
        }
        file_system.make_directory(path);
        file_system.sync_parent(path);
        const Lock lock(file_system, path, "create");
        // Another process may have made it meanwhile.
        if (examine(file_system, path) == Place::blank) {
            furnish(file_system, path, birth);
        }
    }
    return open(file_system, path);
}

Path Repository::manifest_path(std::string_view backup_id) const {
    return manifests() / std::string(backup_id).append(manifest_suffix);
}

Path Repository::pack_path(std::string_view pack_name) const {
    return packs() / std::string(pack_name).append(pack_suffix);
}

std::vector<std::string> Repository::list() const {
    auto ids = list_by_suffix(*file_system_, manifests(), manifest_suffix);
    std::erase_if(ids, [](const std::string& id) { return !is_backup_id(id); });
    return ids;
}

std::string Repository::resolve(std::string_view text) const {
    std::vector<std::string> ids = list();
    if (text == "latest") {
        if (ids.empty()) {
            throw Error(ErrorCode::not_found,
                        "repository " + directory_.string() + " has no backup yet",
                        "Make one with rabbitmq-hot-backup create.");
        }
        return ids.back();
    }
    std::erase_if(ids, [&](const std::string& id) { return !id.starts_with(text); });
    if (ids.empty() || text.empty()) {
        throw no_such_backup(text);
    }
    if (ids.size() > 1) {
        throw Error(ErrorCode::usage,
                    std::to_string(ids.size()) + " backups begin with " + std::string(text) +
                        ", from " + ids.front() + " to " + ids.back(),
                    "Give more of the ID.");
    }
    return ids.front();
}

bool Repository::has_backup(std::string_view backup_id) const {
    return is_backup_id(backup_id) && file_system_->status(manifest_path(backup_id));
}

Error Repository::no_such_backup(std::string_view text) const {
    return {ErrorCode::not_found,
            "repository " + directory_.string() + " has no backup " + std::string(text),
            "See `list` for the backups that it has, or use `latest`."};
}

Error Repository::deleted_error(std::string_view backup_id, std::string_view activity) const {
    return {
        ErrorCode::not_found,
        "backup " + std::string(backup_id) + " was deleted while it was " + std::string(activity),
        "See `list` for the backups that are left, or use `latest`."};
}

ManifestReader Repository::read_manifest(std::string_view backup_id) const {
    if (!has_backup(backup_id)) {
        throw no_such_backup(backup_id);
    }
    return {*file_system_, manifest_path(backup_id), std::string(backup_id)};
}

FileEntry Repository::find_file(std::string_view backup_id, std::string_view path) const {
    ManifestReader manifest = read_manifest(backup_id);
    while (auto entry = manifest.next_file()) {
        if (entry->path == path) {
            return std::move(*entry);
        }
    }
    throw Error(ErrorCode::not_found,
                "backup " + std::string(backup_id) + " has no file " + std::string(path),
                "See `show` for the files that it has, or use another backup.");
}

PackReader Repository::open_pack(std::string_view pack_name, PackReader::From from) const {
    return {*file_system_, pack_path(pack_name), std::string(pack_name), from};
}

std::string Repository::last_id() const {
    std::string last;
    for (const std::string& id : list()) {
        last = std::max(last, id);
    }
    for (const std::string& name : list_packs(*file_system_, packs())) {
        last = std::max(last, std::string(backup_of_pack(name)));
    }
    return last;
}

void Repository::remove_temporaries() const {
    for (const std::string& stem : list_by_suffix(*file_system_, manifests(), temporary_suffix)) {
        file_system_->remove(manifests() / (stem + std::string(temporary_suffix)));
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
    for (const std::string& id : list()) {
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
    remove_temporaries();
    // No manifest that was removed may come back after a power cut when its packs are gone.
    file_system_->sync_directory(manifests());

    const std::vector<std::string> ids = list();
    sweep_marks(*this, ids);
    // The packs whose own backup is gone: deleted, or never published.
    std::set<std::string> orphans;
    for (std::string& name : list_packs(*file_system_, packs())) {
        if (!std::binary_search(ids.begin(), ids.end(), backup_of_pack(name), std::less<>())) {
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
    if (!has_backup(backup_id)) {
        throw no_such_backup(backup_id);
    }
    if (is_protected(*this, backup_id)) {
        return false;
    }
    lock.throw_unless_held();
    file_system_->remove(manifest_path(backup_id));
    return true;
}

Repository::Swept Repository::remove(const Lock& lock, std::string_view backup_id) const {
    if (!withdraw(lock, backup_id)) {
        throw protected_error(*this, backup_id);
    }
    return sweep(lock);
}

}  // namespace hot_backup
