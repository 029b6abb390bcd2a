#include "sidecar/cli/choose_backup.hpp"

#include "sidecar/repository/cluster_parts.hpp"

#include <algorithm>
#include <utility>

namespace hot_backup {

ChosenBackup find_backup(const Repository& repository, const std::string& text) {
    const auto newest = repository.resolve(text);
    if (text != "latest") {
        return {newest, {}};
    }
    std::vector<UnreadableBackup> passed_over;
    const auto ids = repository.list();
    for (auto id = ids.rbegin(); id != ids.rend(); ++id) {
        try {
            try_to_read(repository, *id);
            return {*id, std::move(passed_over)};
        } catch (const Error& error) {
            passed_over.push_back({*id, error.what()});
        }
    }
    return {newest, {}};
}

std::string choose_backup(const Repository& repository, const std::string& text, Output& output) {
    const auto chosen = find_backup(repository, text);
    for (const auto& [id, reason] : chosen.passed_over) {
        output.warning("backup " + id + " is newer and cannot be read: " + reason);
        output.message({{"message_type", "passed_over"}, {"backup", id}, {"reason", reason}});
    }
    return chosen.id;
}

std::vector<Repository> open_repositories(const Arguments& arguments) {
    std::vector<Repository> repositories{
        Repository::open(posix_file_system(), arguments.repository)};
    for (const auto& path : arguments.cluster.with) {
        repositories.push_back(Repository::open(posix_file_system(), path));
    }
    return repositories;
}

std::string choose_part(const Repository& repository, const std::string& backup_id,
                        const std::string& node) {
    if (!repository.has_cluster(backup_id)) {
        if (!node.empty()) {
            throw Error(ErrorCode::usage, "backup " + backup_id + " is not of a cluster",
                        "Leave out --part: there is nothing to choose from.");
        }
        return backup_id;
    }
    const std::vector<Repository> at_hand{repository};
    const auto parts = place_parts(at_hand, backup_id, repository.read_cluster(backup_id));
    const auto found = std::find_if(parts.begin(), parts.end(), [&](const PlacedPart& one) {
        return node.empty() ? one.part.metadata : one.part.node == node;
    });
    if (found == parts.end()) {
        throw Error(ErrorCode::usage, "backup " + backup_id + " has no part of " + node,
                    "See `show` for its parts.");
    }
    const auto& part = found->part;
    if (found->state != PartState::here) {
        throw Error(ErrorCode::not_found,
                    "the part of " + part.node + ", " + part.backup + ", is not in repository " +
                        repository.directory().string(),
                    "It was made in " + part.path + " on host " + part.host +
                        ": do this there, or name that repository.");
    }
    return part.backup;
}

std::string resolve_whole(const Repository& repository, const std::string& text) {
    auto id = repository.resolve(text);
    if (const auto whole = repository.cluster_of(id)) {
        throw Error(ErrorCode::usage, id + " is a part of cluster backup " + *whole,
                    "Name the whole.");
    }
    return id;
}

void try_to_read(const Repository& repository, const std::string& backup_id) {
    if (repository.has_cluster(backup_id)) {
        repository.read_cluster(backup_id);
    } else {
        repository.read_manifest(backup_id);
    }
}

}  // namespace hot_backup
