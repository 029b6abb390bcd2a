// Which queues of a backup are meant: `--queue V/NAME`, `--vhost V`, `--all`.
#pragma once

#include "sidecar/definitions/snapshot_reader.hpp"
#include "sidecar/transfer/queue_name.hpp"

#include <string>
#include <vector>

namespace hot_backup {

struct Selection {
    // VHOST/NAME, each; the default vhost's are //NAME. Shell patterns (* ? [a-z]) choose all that
    // match, a backslash takes their meaning away. A queue whose name is a pattern, to the letter,
    // is chosen alone.
    std::vector<std::string> queues;
    std::vector<std::string> vhosts;  // all queues of these
    bool all = false;                 // all queues of the backup
};

// A queue that was chosen and cannot be restored.
struct LeftOutQueue {
    QueueName queue;
    std::string reason;
};

struct ChosenQueues {
    std::vector<QueueName> queues;       // by vhost and name
    std::vector<LeftOutQueue> left_out;  // names that definitions JSON cannot hold
};

// Exclusive and non-durable queues are never among them: backups do not bring them back. Error
// usage: a part of the selection matches nothing.
ChosenQueues choose_queues(Snapshot& snapshot, const Selection& selection);

}  // namespace hot_backup
