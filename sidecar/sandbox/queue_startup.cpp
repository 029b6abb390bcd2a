#include "sidecar/sandbox/queue_startup.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>

namespace hot_backup {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto answer_time = 5s;  // of a queue
constexpr auto patience = 30s;

std::vector<ServedQueue> list(Broker& broker) {
    std::vector<ServedQueue> queues;
    broker.stream_inventory(answer_time,
                            [&](const ServedQueue& queue) { queues.push_back(queue); });
    return queues;
}

// Every node answers for all queues but streams, of which each knows its own replica only.
std::vector<ServedNode> list_all(const std::vector<Broker*>& brokers) {
    std::vector<ServedNode> nodes{{brokers.front()->identity().node, list(*brokers.front())}};
    const bool streams = std::ranges::any_of(
        nodes.front().queues, [](const ServedQueue& queue) { return queue.type == "stream"; });
    for (std::size_t number = 1; number < brokers.size() && streams; ++number) {
        auto& queues =
            nodes.emplace_back(brokers[number]->identity().node, list(*brokers[number])).queues;
        std::erase_if(queues, [](const ServedQueue& queue) { return queue.type != "stream"; });
    }
    return nodes;
}

// How much runs, of how much that should: queues, and of streams the replicas.
struct Progress {
    std::size_t running = 0;
    std::size_t wanted = 0;
};

Progress progress_of(const std::vector<ServedNode>& nodes, const ExpectedQueues& expected) {
    Progress progress;
    for (const auto& node : nodes) {
        for (const auto& queue : node.queues) {
            const bool here = queue.type != "stream" || ExpectedQueues::is_on(node.node, queue);
            const bool wanted = here && !expected.is_out_of_reach(queue);
            progress.wanted += wanted ? 1U : 0U;
            progress.running += wanted && queue.running() ? 1U : 0U;
        }
    }
    return progress;
}

}  // namespace

std::vector<ServedNode> wait_for_queues(const std::vector<Broker*>& brokers,
                                        const ExpectedQueues& expected) {
    std::size_t most_running = 0;
    auto deadline = Clock::now() + patience;
    for (;;) {
        const bool last = Clock::now() >= deadline;
        auto nodes = list_all(brokers);
        const auto [running, wanted] = progress_of(nodes, expected);
        if (last || running == wanted) {
            return nodes;
        }
        if (running > most_running) {
            most_running = running;
            deadline = Clock::now() + patience;
        }
        brokers.front()->wait(500ms);
    }
}

}  // namespace hot_backup
