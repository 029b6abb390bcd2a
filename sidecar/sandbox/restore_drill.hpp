// The restore drill, `verify ID --boot`: proves a backup by booting it.
//
//     restore        into a scratch directory; every byte of the nodes' files is checked
//     boot           a sandbox with all of them, under their own names (sandbox.hpp)
//     wait           until all queues serve
//     compare        definitions (definition_differences.hpp), then queues (queue_differences.hpp)
//     throw away     the brokers and the directory, whatever happens
#pragma once

#include "sidecar/sandbox/definition_differences.hpp"
#include "sidecar/sandbox/queue_differences.hpp"
#include "sidecar/sandbox/sandbox.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace hot_backup {

struct DrilledNode {
    std::string node;
    std::string backup;       // its part's ID
    std::uint64_t files = 0;  // restored
    std::uint64_t bytes = 0;
};

struct DrillReport {
    DefinitionCounts definitions;
    QueueTotals queues;
    std::vector<DrilledNode> nodes;
    std::uint64_t files = 0;  // restored, of all nodes
    std::uint64_t bytes = 0;
    std::chrono::duration<double> restore_time{};
    std::chrono::duration<double> boot_time{};
    std::chrono::duration<double> check_time{};
    std::uint64_t findings = 0;    // differences without an excuse
    std::uint64_t not_proven = 0;  // with one, but for what is out of reach
};

// Differences are reported as they are found, and the drill goes on. Error: it could not be held;
// damaged: the bytes are not what was written.
DrillReport hold_drill(const WholeBackup& backup, const SandboxOptions& options,
                       const BootCallbacks& callbacks, const ReportDifference& report);

}  // namespace hot_backup
