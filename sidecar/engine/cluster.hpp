// The manifest of a cluster backup, put together of what the nodes say of their parts:
// docs/protocol.md, "Parts".
#pragma once

#include "sidecar/engine/broker.hpp"
#include "sidecar/engine/fields.hpp"
#include "sidecar/repository/cluster_manifest.hpp"

namespace hot_backup {

// Of the plugin's `publish`. Error failed: it is not what the protocol says.
ClusterManifest compose(const MapFields& publish, const PartOrder& order);

}  // namespace hot_backup
