// The queues that a backup holds, by vhost, with their messages: for `show`.
//
// Like definitions, it leaves out exclusive and non-durable queues: they and their messages end
// with their connection or their node, so no backup restores them.
#pragma once

#include "sidecar/definitions/queue_statistics.hpp"
#include "sidecar/definitions/snapshot_reader.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hot_backup {

struct StoredQueue {
    std::string type;  // "classic", "quorum", "stream", or the module of another type
    std::optional<unsigned> version;  // of a classic queue's files, where that is certain
    QueueStatistics statistics;       // with its names
};

struct StoredVhost {
    std::string name;
    std::vector<StoredQueue> queues;  // by name
};

// By name; names are as replace_invalid_utf8() makes them. `statistics` may know queues that the
// snapshot does not have, and the other way round. Memory: all queues. Throws Error as
// Snapshot::for_each() and records.hpp do.
std::vector<StoredVhost> list_queues(Snapshot& snapshot, std::string_view rabbitmq_version,
                                     std::vector<QueueStatistics> statistics);

}  // namespace hot_backup
