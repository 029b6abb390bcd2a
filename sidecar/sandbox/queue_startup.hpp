// A broker serves before its queues do: after a boot Raft servers elect a leader first, and the
// stream coordinator starts its writers, which start their replicas.
#pragma once

#include "sidecar/sandbox/queue_differences.hpp"

#include <vector>

namespace hot_backup {

// What the queues say, to each of the brokers, once all of them run, with all replicas of streams
// that have files; or once none of the others has come up for half a minute. Nothing is waited for
// that cannot come up without the nodes that are missing in the backup.
std::vector<ServedNode> wait_for_queues(const std::vector<Broker*>& brokers,
                                        const ExpectedQueues& expected);

}  // namespace hot_backup
