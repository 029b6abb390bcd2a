#include "sidecar/repository/whole_backup.hpp"

#include <utility>

namespace hot_backup {
namespace {

WholeBackup of_node(const Repository& repository, const std::string& id) {
    WholeBackup whole;
    auto summary = repository.read_manifest(id).summary();
    whole.id = id;
    whole.name = summary.node;
    whole.instant = summary.instant;
    whole.rabbitmq_version = summary.rabbitmq_version;
    whole.nodes.push_back({&repository, id, std::move(summary)});
    return whole;
}

void throw_unless_here(const std::string& id, const PlacedPart& placed) {
    const auto& part = placed.part;
    const auto what = "the part of " + part.node + " in cluster backup " + id;
    switch (placed.state) {
        case PartState::here:
            if (!placed.repository->has_part(part)) {
                throw Error(ErrorCode::damaged, what + " is not the one that was made",
                            "Run verify, which says what is damaged; another backup may be whole.");
            }
            return;
        case PartState::missing:
            throw Error(ErrorCode::damaged,
                        what + " is missing in the repository that it was made in",
                        "Take another backup: this one is not whole any more.");
        case PartState::elsewhere:
            throw Error(ErrorCode::not_found, what + " is not in this repository",
                        "It was made in " + part.path + " on host " + part.host +
                            ": mount or copy that repository here, and name it with --with.");
    }
}

}  // namespace

WholeBackup find_whole_backup(const std::vector<Repository>& repositories, const std::string& id) {
    const auto& repository = repositories.front();
    if (!repository.has_cluster(id)) {
        return of_node(repository, id);
    }
    auto manifest = repository.read_cluster(id);
    WholeBackup whole;
    whole.id = id;
    whole.of_cluster = true;
    whole.name = manifest.summary.cluster;
    whole.instant = manifest.summary.instant;
    whole.rabbitmq_version = manifest.summary.rabbitmq_version;
    whole.missing = std::move(manifest.missing);
    for (const auto& placed : place_parts(repositories, id, manifest)) {
        throw_unless_here(id, placed);
        if (placed.part.metadata) {
            whole.metadata = whole.nodes.size();
        }
        whole.nodes.push_back({placed.repository, placed.part.backup,
                               placed.repository->read_manifest(placed.part.backup).summary()});
    }
    return whole;
}

}  // namespace hot_backup
