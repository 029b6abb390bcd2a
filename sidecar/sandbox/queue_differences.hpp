// Compares what the queues of a broker booted from a backup serve with what the backup says of
// them.
//
// Streams: their first and last offset are exactly those of the files.
//
// Classic and quorum queues: how many messages they have. What the backup says of that
// (statistics/queues) is what the node had counted right before the instant, some of it up to five
// seconds earlier. So it is exact where nothing came or went for `quiet_time` before that, and a
// classic queue had nothing to do. By the files, the former is known of each classic queue by
// itself, and of all quorum queues together. Where it is so, another number is a finding; else it
// is reported with that excuse. Messages that RabbitMQ does not keep over a restart do not count
// where the node told them apart.
#pragma once

#include "sidecar/definitions/queue_inventory.hpp"
#include "sidecar/engine/broker.hpp"
#include "sidecar/sandbox/difference.hpp"
#include "sidecar/sandbox/last_writes.hpp"
#include "sidecar/sandbox/stream_offsets.hpp"

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace hot_backup {

inline constexpr std::chrono::seconds quiet_time{10};

struct ExpectedQueues {
    std::vector<StoredVhost> vhosts;
    std::map<std::string, std::optional<StreamOffsets>> streams;  // by directory
    LastWrites last_writes;
    Timestamp counted;  // when the node was asked for its counts
};

struct QueueTotals {
    std::uint64_t queues = 0;
    std::uint64_t messages = 0;  // in classic and quorum queues, as served
    std::uint64_t streams = 0;
    std::uint64_t uncounted = 0;  // queues of which the backup does not say how many messages
};

// Of queues that the definitions have on both sides: what is missing there is reported there.
QueueTotals find_queue_differences(const ExpectedQueues& expected,
                                   const std::vector<ServedQueue>& served,
                                   const ReportDifference& report);

}  // namespace hot_backup
