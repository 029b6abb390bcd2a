// What create, list and show say of a backup of a whole cluster.
#pragma once

#include "sidecar/json.hpp"
#include "sidecar/repository/cluster_manifest.hpp"

#include <string>

namespace hot_backup {

// With --json: docs/json.md.
OrderedJson to_json(const std::string& cluster_id, const ClusterManifest& manifest);

// "8.2 ms at the most, all 3 nodes still together for 1.1 ms (proven by messages), 1 attempt".
std::string describe_stop(const ClusterManifest& manifest);

}  // namespace hot_backup
