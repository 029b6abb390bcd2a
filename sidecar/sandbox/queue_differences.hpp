// Compares what the queues of a broker booted from a backup serve with what the backup says of
// them.
//
// Streams: their first and last offset are exactly those of the files. In a cluster each replica
// begins where its own files do, and the stream ends where most of the replicas have come to: what
// fewer have was confirmed to nobody, and whether it stays decides the election of the leader.
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
#include <utility>
#include <vector>

namespace hot_backup {

inline constexpr std::chrono::seconds quiet_time{10};

// What the files of a node say.
struct NodeFiles {
    std::string node;
    std::map<std::string, std::optional<StreamOffsets>> streams;  // by directory
    LastWrites last_writes;
    Timestamp counted;  // when the node was asked for its counts
};

struct ExpectedQueues {
    std::vector<StoredVhost> vhosts;  // with what all nodes had counted
    // The node that had counted the messages of a queue, by vhost and name.
    std::map<std::pair<std::string, std::string>, std::string> counted_by;
    std::vector<NodeFiles> nodes;

    // Whether the queue has a member on this node of the backup.
    static bool is_on(const std::string& node, const ServedQueue& queue);
    // Whether it cannot run because of the nodes that the backup does not have.
    bool is_out_of_reach(const ServedQueue& queue) const;
};

// What the queues say to one of the brokers. The first one's answer for all of them; of the others
// only the streams count, of which each knows its own replica.
struct ServedNode {
    std::string node;
    std::vector<ServedQueue> queues;
};

// Of a node of a cluster.
struct NodeTotals {
    std::uint64_t queues = 0;    // classic and quorum queues whose messages it had counted
    std::uint64_t messages = 0;  // in these, as served
    std::uint64_t replicas = 0;  // of streams, that run
};

struct QueueTotals {
    std::uint64_t queues = 0;
    std::uint64_t messages = 0;  // in classic and quorum queues, as served
    std::uint64_t streams = 0;
    std::uint64_t uncounted = 0;     // queues of which the backup does not say how many messages
    std::uint64_t out_of_reach = 0;  // that do not run for want of nodes in the backup
    std::map<std::string, NodeTotals> nodes;
};

// Of queues that the definitions have on both sides: what is missing there is reported there.
QueueTotals find_queue_differences(const ExpectedQueues& expected,
                                   const std::vector<ServedNode>& served,
                                   const ReportDifference& report);

}  // namespace hot_backup
