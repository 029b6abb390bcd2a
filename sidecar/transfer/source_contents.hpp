// What the queues of a source hold, and from which of its nodes each is read.
#pragma once

#include "sidecar/transfer/transfer.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace hot_backup {

// What a queue of the source holds.
struct Contents {
    const SourceNode* node = nullptr;            // to be read from
    std::optional<std::uint64_t> messages = {};  // none for a stream
    std::string directory = {};                  // of a stream
    std::optional<std::uint64_t> last_offset = {};
    bool complete = true;  // of a stream: all replicas run that the source has
    // Where it is, if it cannot run because the source lacks too many of these nodes.
    std::vector<std::string> out_of_reach = {};
};

// By the name in the source.
using AllContents = std::map<QueueName, Contents>;

// Waits until the plan's queues serve: a quorum queue needs a while after the boot until it has a
// leader, a stream until it has its replicas. The source outlives the result. Error failed: one
// does not come up in two minutes, although enough of its nodes are there.
AllContents list_contents(const TransferPlan& plan, const TransferSource& source);

}  // namespace hot_backup
