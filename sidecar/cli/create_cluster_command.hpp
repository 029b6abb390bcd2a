// `create` where the node is a member of a cluster: one backup of all its nodes.
//
// The plugin of the node coordinates it, and each node's own program writes its part: this command
// only orders it, shows how far it is, and cancels it when it is interrupted.
#pragma once

#include "sidecar/cli/arguments.hpp"
#include "sidecar/cli/exit_code.hpp"
#include "sidecar/cli/output.hpp"
#include "sidecar/engine/broker.hpp"

namespace hot_backup {

ExitCode create_cluster_command(Broker& broker, const Arguments& arguments, Output& output);

}  // namespace hot_backup
