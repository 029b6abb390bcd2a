#include "sidecar/transfer/source_contents.hpp"

#include "erlang_port/error.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace hot_backup {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

// How long the queues of a broker that was just booted may take to serve, and one to say what it
// has.
constexpr auto serving_time = 2min;
constexpr auto answer_time = 10s;

// Looks at the queues of a source once.
class SourceInventory {
public:
    explicit SourceInventory(const TransferSource& source) : source_(source) {
        for (const auto& node : source) {
            names_.push_back(node.broker.identity().node);
        }
        for (const auto& node : source) {
            node.broker.stream_inventory(answer_time,
                                         [&](const ServedQueue& queue) { add(node, queue); });
        }
    }

    AllContents take() { return std::move(contents_); }

private:
    // The first node answers for all queues but streams, of which each knows its own replica only.
    void add(const SourceNode& node, const ServedQueue& queue) {
        if (!queue.can_run_on(names_)) {
            contents_[{queue.vhost, queue.name}].out_of_reach = queue.nodes;
        } else if (queue.type == "stream") {
            add_replica(node, queue);
        } else if (&node == &source_.front() && queue.running()) {
            const auto* home = queue.nodes.empty() ? nullptr : find(queue.nodes.front());
            contents_[{queue.vhost, queue.name}] = {
                home != nullptr ? home : &node,
                queue.ready.value_or(0) + queue.unacknowledged.value_or(0)};
        }
    }

    // The replica that is furthest has all that there is.
    void add_replica(const SourceNode& node, const ServedQueue& queue) {
        auto& contents = contents_[{queue.vhost, queue.name}];
        const auto& name = node.broker.identity().node;
        const bool is_member = std::ranges::find(queue.nodes, name) != queue.nodes.end();
        contents.complete = contents.complete && (queue.running() || !is_member);
        if (queue.running() &&
            (contents.node == nullptr || queue.last_offset > contents.last_offset)) {
            contents.node = &node;
            contents.directory = queue.directory;
            contents.last_offset = queue.last_offset;
        }
    }

    const SourceNode* find(const std::string& name) const {
        const auto found = std::ranges::find_if(
            source_, [&](const SourceNode& node) { return node.broker.identity().node == name; });
        return found == source_.end() ? nullptr : &*found;
    }

    const TransferSource& source_;
    std::vector<std::string> names_;  // of its nodes
    AllContents contents_;
};

}  // namespace

AllContents list_contents(const TransferPlan& plan, const TransferSource& source) {
    const auto deadline = Clock::now() + serving_time;
    for (;;) {
        const bool last = Clock::now() >= deadline;
        auto contents = SourceInventory(source).take();
        const auto missing = std::ranges::find_if(plan.queues, [&](const PlannedQueue& queue) {
            const auto found = contents.find(queue.move.from);
            return found == contents.end() ||
                   (found->second.out_of_reach.empty() &&
                    (found->second.node == nullptr || (!found->second.complete && !last)));
        });
        if (missing == plan.queues.end()) {
            return contents;
        }
        if (last) {
            throw Error(ErrorCode::failed,
                        describe(missing->move.from) + " of the backup does not come up",
                        "See the log of the broker that was booted from the backup; leave the "
                        "queue out if it did not serve at the time of the backup either.");
        }
        source.front().broker.wait(500ms);
    }
}

}  // namespace hot_backup
