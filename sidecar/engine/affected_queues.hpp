// What the nodes that are not in a backup of a cluster mean for its queues.
#pragma once

#include "sidecar/definitions/snapshot_reader.hpp"
#include "sidecar/engine/fields.hpp"
#include "sidecar/repository/cluster_manifest.hpp"

#include <string>
#include <vector>

namespace hot_backup {

// Those of which a member is on one of the `missing` nodes; durable ones, as others are in no
// backup. Records of a shape that is not known are passed over. Throws Error as
// Snapshot::for_each() does. Memory: the result.
std::vector<AffectedQueue> affected_queues(Snapshot& snapshot,
                                           const std::vector<std::string>& missing);

// As the parts' engines tell each other of them through the plugin: docs/protocol.md,
// `part_prepared`.
erlang::Term to_term(const std::vector<AffectedQueue>& affected);
std::vector<AffectedQueue> read_affected(const MapFields& prepared);

}  // namespace hot_backup
