// Cluster backups for tests: the sample backup as the part of each of a few nodes.
#pragma once

#include "sidecar/repository/cluster_manifest.hpp"
#include "tests/repository/sample.hpp"

#include <optional>
#include <string>
#include <vector>

namespace repository_test {

// The ID that the cluster backup of sample_time() has.
inline constexpr const char* sample_cluster_id = "20261122T073241.512Z";

// What the node would have said of its part.
hot_backup::Summary sample_part_summary(const std::string& node, bool metadata,
                                        const std::string& cluster_id = sample_cluster_id);

// Of a part that is published, as the manifest of the whole describes it; when its node stood still
// is not known.
hot_backup::ClusterPart part_of(const Repository& repository,
                                const hot_backup::BackupWriter& writer,
                                const hot_backup::Summary& summary);

// Writes sample_files() as a part, without the metadata where it is to have none, and publishes it:
// then it is in doubt. `lock` is held already; it is taken where none is given.
hot_backup::ClusterPart write_part(const Repository& repository, const std::string& node,
                                   bool metadata, const std::string& cluster_id = sample_cluster_id,
                                   const hot_backup::Lock* lock = nullptr);

// A manifest of these parts; the first one's node coordinated.
hot_backup::ClusterManifest sample_cluster(std::vector<hot_backup::ClusterPart> parts);

// Takes the lock and publishes the manifest of these parts.
void publish_sample(const Repository& repository, const std::vector<hot_backup::ClusterPart>& parts,
                    const std::string& cluster_id = sample_cluster_id);

// The parts of rabbit@a (with the metadata), rabbit@b and rabbit@c, and their manifest, all in one
// repository.
std::vector<hot_backup::ClusterPart> write_cluster(
    const Repository& repository, const std::string& cluster_id = sample_cluster_id);

}  // namespace repository_test
