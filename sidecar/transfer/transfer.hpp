// Queues of a backup into a live broker: `restore ID --into NODE`.
//
//     plan_transfer()      what the broker lacks, what differs, which queues
//     declare_missing()    vhosts, policies, exchanges, queues and bindings that are not there
//     transfer_messages()  each queue's messages, from a broker booted from the backup
//
// The messages go into exactly these queues, past all exchanges, behind what waits there already;
// with their bodies, properties and headers, and the exchange and routing key that they were
// published with. They are new to the target: not redelivered, with the lifetime that the target's
// queue gives them.
#pragma once

#include "sidecar/engine/broker.hpp"
#include "sidecar/repository/file_system.hpp"
#include "sidecar/transfer/definition_difference.hpp"
#include "sidecar/transfer/journal.hpp"
#include "sidecar/transfer/selection.hpp"
#include "sidecar/transfer/version_changes.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace hot_backup {

struct PlannedQueue {
    QueueMove move;
    std::string type;         // "classic", "quorum", "stream"
    bool to_declare = false;  // it is not in the target
    // The queue of the target may be a quorum queue all the same: what was mirrored is replicated.
    bool mirrored = false;
};

struct TransferPlan {
    std::vector<PlannedQueue> queues;
    std::vector<LeftOutQueue> left_out;
    DefinitionDifference difference;
    std::vector<VersionChange> changes;  // of queues that are to be declared
};

// `as`: the new name of the queue, of which there is one then. Changes nothing. Error usage: the
// selection matches nothing, or a queue of the target has another type.
TransferPlan plan_transfer(Snapshot& backup, const std::string& rabbitmq_version, Broker& target,
                           const Selection& selection, const std::optional<std::string>& as);

// The journal, where there is one, first forgets what went into earlier queues of the names that
// are declared: a restore that is cut off right after would find the new ones.
void declare_missing(const TransferPlan& plan, Broker& target, Journal* journal);

// A broker booted from the backup.
struct SourceNode {
    Broker& broker;
    std::uint16_t amqp_port = 0;
    Path streams;  // the directory that has those of its streams
};

// All that were: one, or those of a cluster. They are thrown away afterwards: a user is added to
// them, their messages are taken off their queues.
using TransferSource = std::vector<SourceNode>;

struct TransferOptions {
    std::uint64_t rate_limit = 0;  // bytes of messages a second; 0: none
};

// What happened to one queue, in this run and in earlier ones of the same journal.
struct QueueOutcome {
    QueueMove move;
    std::string type;
    std::uint64_t messages = 0;  // that the backup has, all of them delivered
    std::uint64_t earlier = 0;   // of them: delivered by earlier runs
    // Positions [doubtful_begin, doubtful_end) may be in the queue twice: they were under way when
    // an earlier run was cut off and the target has forgotten. Empty otherwise.
    std::uint64_t doubtful_begin = 0;
    std::uint64_t doubtful_end = 0;
};

struct TransferCallbacks {
    // `messages` and `bytes` of this run so far, over all queues.
    std::function<void(const PlannedQueue& queue, std::uint64_t messages, std::uint64_t bytes)>
        progress;
    // The target blocks its publishers ("memory", "disk"); none: it takes messages again.
    std::function<void(const std::vector<std::string>& alarms)> blocked;
    std::function<void(const QueueOutcome&)> finished;
};

// Queue by queue. A stream with messages that cannot be brought (compressed_batches.hpp) gets none,
// nor does a queue that cannot run in the source for want of nodes; that is an Error when all other
// queues are complete. After an Error, also an interrupt, it can be
// called again with the same journal and a source booted anew from the same backup, and goes on.
void transfer_messages(const TransferPlan& plan, const TransferSource& source, Broker& target,
                       Journal& journal, const TransferOptions& options,
                       const TransferCallbacks& callbacks);

}  // namespace hot_backup
