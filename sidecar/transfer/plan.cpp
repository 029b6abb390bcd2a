#include "erlang_port/error.hpp"
#include "sidecar/transfer/live_definitions.hpp"
#include "sidecar/transfer/policies.hpp"
#include "sidecar/transfer/transfer.hpp"

#include <algorithm>
#include <utility>

namespace hot_backup {
namespace {

std::vector<QueueMove> moves_of(const std::vector<QueueName>& queues,
                                const std::optional<std::string>& as) {
    if (as && queues.size() != 1) {
        throw Error(ErrorCode::usage,
                    "--as gives one queue another name, and " + std::to_string(queues.size()) +
                        " were chosen",
                    "Name a single queue with --queue.");
    }
    std::vector<QueueMove> moves;
    for (const auto& queue : queues) {
        moves.push_back({queue, {queue.vhost, as.value_or(queue.name)}});
    }
    return moves;
}

// Why a queue cannot come to be `to` in the target; empty when it can.
std::string reason_to_leave_out(const Json& queue, const QueueName& to,
                                const DefinitionSet& target) {
    const auto type = text_of(queue, "type");
    if (type != "classic" && type != "quorum" && type != "stream") {
        return "queues of type " + type + " are not known";
    }
    if (to.name.starts_with("amq.") && !target.queues.contains(to)) {
        return "only a server names a queue so: restore it under another name with --as";
    }
    return {};
}

}  // namespace

TransferPlan plan_transfer(Snapshot& backup, const std::string& rabbitmq_version, Broker& target,
                           const Selection& selection, const std::optional<std::string>& as) {
    TransferPlan plan;
    auto chosen = choose_queues(backup, selection);
    plan.left_out = std::move(chosen.left_out);
    std::set<std::string> vhosts;
    for (const auto& queue : chosen.queues) {
        vhosts.insert(queue.vhost);
    }
    const auto ours = read_definitions(backup, rabbitmq_version, vhosts);
    const auto theirs = read_definitions(target, vhosts);
    std::erase_if(chosen.queues, [&](const QueueName& queue) {
        const auto reason = reason_to_leave_out(ours.queues.at(queue),
                                                {queue.vhost, as.value_or(queue.name)}, theirs);
        if (!reason.empty()) {
            plan.left_out.push_back({queue, reason});
        }
        return !reason.empty();
    });

    const auto moves = moves_of(chosen.queues, as);
    plan.difference = compare_definitions(ours, theirs, moves, read_definition_rules(target));
    std::vector<QueueName> to_declare;
    for (const auto& move : moves) {
        const auto& queue = ours.queues.at(move.from);
        const bool missing = !theirs.queues.contains(move.to);
        plan.queues.push_back({move, queue.at("type"), missing, is_mirrored(ours, queue)});
        if (missing) {
            to_declare.push_back(move.from);
        }
    }
    plan.changes = find_version_changes(ours, to_declare, rabbitmq_version,
                                        target.identity().rabbitmq_version);
    return plan;
}

void declare_missing(const TransferPlan& plan, Broker& target, Journal* journal) {
    for (const auto& queue : plan.queues) {
        if (journal != nullptr && queue.to_declare && journal->find(queue.move.to).sent > 0) {
            journal->forget(queue.move.to);
        }
    }
    import_definitions(target, plan.difference.missing);
}

}  // namespace hot_backup
