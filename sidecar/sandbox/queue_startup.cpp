#include "sidecar/sandbox/queue_startup.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <iterator>

namespace hot_backup {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto answer_time = 5s;  // of a queue
constexpr auto patience = 30s;

}  // namespace

std::vector<ServedQueue> wait_for_queues(Broker& broker) {
    std::ptrdiff_t most_running = -1;
    auto deadline = Clock::now() + patience;
    for (;;) {
        const bool last = Clock::now() >= deadline;
        std::vector<ServedQueue> queues;
        broker.stream_inventory(answer_time,
                                [&](const ServedQueue& queue) { queues.push_back(queue); });
        const auto running = std::ranges::count_if(queues, &ServedQueue::running);
        if (last || running == std::ssize(queues)) {
            return queues;
        }
        if (running > most_running) {
            most_running = running;
            deadline = Clock::now() + patience;
        }
        broker.wait(500ms);
    }
}

}  // namespace hot_backup
