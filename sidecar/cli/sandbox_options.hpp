// What a command that boots a broker from a backup needs for it, from its arguments.
#pragma once

#include "sidecar/cli/arguments.hpp"
#include "sidecar/cli/output.hpp"
#include "sidecar/sandbox/sandbox.hpp"

#include <string_view>

namespace hot_backup {

// Where scratch directories are made.
Path scratch_parent(const SandboxArguments& arguments);

// Error failed: there is no RabbitMQ here that can boot a backup of this version, or not all that
// belongs to this program.
SandboxOptions sandbox_options(const SandboxArguments& arguments,
                               std::string_view rabbitmq_version);

// Shows how far the restore and the boot are; the interrupt is left to the caller. All outlive the
// result.
BootCallbacks boot_callbacks(const WholeBackup& backup, Output& output);

}  // namespace hot_backup
