// Proves that a broker serves while something is done to it.
#pragma once

#include "tests/harness/broker.hpp"

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

namespace integration {

// One client that, again and again, declares a queue, publishes to it with a confirm, takes the
// message off and deletes the queue, from the construction until finish().
class ServiceWatch {
public:
    explicit ServiceWatch(const harness::Broker& broker);

    // Waits until some more rounds are done. Throws Error when that takes half a minute.
    void wait_until_it_serves() const;
    // Returns the longest round. Throws Error when a round failed or none was made.
    std::chrono::milliseconds finish();
    // Rounds so far.
    unsigned rounds() const noexcept { return rounds_; }

private:
    void serve(std::stop_token stop, std::uint16_t port);

    std::atomic<unsigned> rounds_ = 0;
    std::chrono::steady_clock::duration longest_{};  // the thread's until it has ended
    std::string failure_;                            // as above
    std::jthread client_;                            // last: it uses the members above
};

}  // namespace integration
