// Compares the definitions of a backup with those of a broker booted from it: each vhost, user,
// permission, parameter, policy, queue, exchange and binding.
#pragma once

#include "sidecar/definitions/snapshot_reader.hpp"
#include "sidecar/sandbox/difference.hpp"

#include <cstdint>
#include <map>
#include <string>

namespace hot_backup {

// How many definitions were compared, by section ("queues").
using DefinitionCounts = std::map<std::string, std::uint64_t>;

// Reports what is missing in `found`, what should not be there, and what has changed with the
// fields that have. Memory: the definitions of `expected`, as text. Throws Error as
// write_definitions().
DefinitionCounts find_definition_differences(Snapshot& expected, Snapshot& found,
                                             const std::string& rabbitmq_version,
                                             const ReportDifference& report);

}  // namespace hot_backup
