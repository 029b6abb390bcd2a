// A backup with all its nodes, for who needs all of their files: the node of a node's backup, or
// the parts of a cluster's, each with the repository that has it.
#pragma once

#include "sidecar/repository/cluster_parts.hpp"

#include <string>
#include <vector>

namespace hot_backup {

struct BackedUpNode {
    const Repository* repository = nullptr;
    std::string backup;  // its ID in there: that of the node's backup, or of the part
    Summary summary;
};

struct WholeBackup {
    std::string id;
    bool of_cluster = false;
    std::string name;  // of what was backed up: the node, or the cluster
    Timestamp instant;
    std::string rabbitmq_version;      // of several nodes the highest
    std::vector<BackedUpNode> nodes;   // of a cluster: by name
    std::size_t metadata = 0;          // which of them has the metadata
    std::vector<MissingNode> missing;  // of the cluster

    const BackedUpNode& with_metadata() const { return nodes.at(metadata); }
};

// The first of the repositories has the backup; all of them outlive the result. Error not_found: a
// part is in none of them; damaged: it is not there any more, or not the one that was made. Else as
// Repository::read_manifest() and read_cluster().
WholeBackup find_whole_backup(const std::vector<Repository>& repositories, const std::string& id);

}  // namespace hot_backup
