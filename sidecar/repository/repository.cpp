#include "sidecar/repository/repository.hpp"

#include "sidecar/repository/identifier.hpp"
#include "sidecar/repository/json_fields.hpp"
#include "sidecar/repository/names.hpp"

#include <algorithm>
#include <system_error>
#include <thread>

namespace hot_backup {
namespace {

constexpr std::string_view format = "rabbitmq-hot-backup repository";
constexpr unsigned version = 1;

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
        if (name == "manifests" || name == "clusters" || name == "packs" || name == "marks" ||
            name == "writers") {
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

// Returns its UUID.
std::string read_description(FileSystem& file_system, const Path& directory) {
    SealedTextReader reader(file_system, description_path(directory));
    try {
        const Json json = parse_object(read_format_line(reader, format, version));
        const Fields fields(json);
        static_cast<void>(fields.time("created"));
        return fields.text("id");
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

// Another process may be making it just now: nodes that share a directory begin their first backup
// together.
void furnish_once(FileSystem& file_system, const Path& directory, const RepositoryBirth& birth) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (examine(file_system, directory) == Place::blank) {
        try {
            const LockFile lock(file_system, directory / "lock", directory,
                                {this_process(), "create", to_text(now()), {}, {}, true});
            if (examine(file_system, directory) == Place::blank) {
                furnish(file_system, directory, birth);
            }
        } catch (const Error& error) {
            if (error.code() != ErrorCode::locked || std::chrono::steady_clock::now() >= deadline) {
                throw;
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
    }
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
    std::string id = read_description(file_system, path);
    for (const char* name : {"manifests", "packs"}) {
        if (!file_system.status(path / name)) {
            throw missing_error(path, name);
        }
    }
    return {file_system, path, std::move(id)};
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
        furnish_once(file_system, path, birth);
    }
    return open(file_system, path);
}

Path Repository::manifest_path(std::string_view backup_id) const {
    return manifests() / std::string(backup_id).append(manifest_suffix);
}

Path Repository::pack_path(std::string_view pack_name) const {
    return packs() / std::string(pack_name).append(pack_suffix);
}

std::vector<std::string> Repository::list_manifests() const {
    auto ids = list_by_suffix(*file_system_, manifests(), manifest_suffix);
    std::erase_if(ids, [](const std::string& id) { return !is_backup_id(id); });
    return ids;
}

std::vector<std::string> Repository::list() const {
    auto ids = list_manifests();
    std::erase_if(ids, [this](const std::string& id) { return cluster_of(id).has_value(); });
    const auto of_clusters = clusters();
    ids.insert(ids.end(), of_clusters.begin(), of_clusters.end());
    std::sort(ids.begin(), ids.end());
    return ids;
}

std::string Repository::resolve(std::string_view text) const {
    if (has_backup(text)) {
        return std::string(text);
    }
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

bool Repository::has_manifest(std::string_view backup_id) const {
    return is_backup_id(backup_id) && file_system_->status(manifest_path(backup_id));
}

bool Repository::has_backup(std::string_view backup_id) const {
    return has_manifest(backup_id) || has_cluster(backup_id);
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
    if (!has_manifest(backup_id)) {
        if (has_cluster(backup_id)) {
            throw Error(ErrorCode::usage,
                        "backup " + std::string(backup_id) +
                            " is of a cluster, and this is done with the part of one node",
                        "Name the part by its own ID, or with --part NODE; see `show`.");
        }
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

}  // namespace hot_backup
