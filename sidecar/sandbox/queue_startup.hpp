// A broker serves before its queues do: after a boot Raft servers elect a leader first, and the
// stream coordinator starts its writers.
#pragma once

#include "sidecar/engine/broker.hpp"

#include <vector>

namespace hot_backup {

// What the queues say once all of them run, or once none of the others has come up for half a
// minute.
std::vector<ServedQueue> wait_for_queues(Broker& broker);

}  // namespace hot_backup
