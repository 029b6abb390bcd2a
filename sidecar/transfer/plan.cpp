#include "erlang_port/error.hpp"
#include "sidecar/transfer/live_definitions.hpp"
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

bool is_transferable(const std::string& type) {
    return type == "classic" || type == "quorum" || type == "stream";
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
    std::erase_if(chosen.queues, [&](const QueueName& queue) {
        const std::string type = ours.queues.at(queue).at("type");
        if (!is_transferable(type)) {
            plan.left_out.push_back({queue, "queues of type " + type + " are not known"});
        }
        return !is_transferable(type);
    });

    const auto moves = moves_of(chosen.queues, as);
    const auto theirs = read_definitions(target, vhosts);
    plan.difference = compare_definitions(ours, theirs, moves);
    for (const auto& move : moves) {
        plan.queues.push_back(
            {move, ours.queues.at(move.from).at("type"), !theirs.queues.contains(move.to)});
    }
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
