// Clients that publish with confirms and consume with acknowledgements until they are stopped: the
// load under which backups are taken.
#pragma once

#include "tests/harness/broker.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace tools {

struct TrafficOptions {
    std::string vhost = "/";
    std::size_t queues = 4;            // each with one publisher and one consumer
    double messages_per_second = 500;  // of all publishers together
    std::size_t body_size = 1000;
};

class Traffic {
public:
    // Declares its queues ("traffic.N") and starts.
    Traffic(std::uint16_t amqp_port, const TrafficOptions& options = {});
    Traffic(const Traffic&) = delete;
    Traffic& operator=(const Traffic&) = delete;
    ~Traffic() { stop(); }

    // Ends the clients. What is in the queues stays there.
    void stop();

    // Messages that the broker has confirmed, and that consumers have acknowledged.
    std::uint64_t confirmed() const noexcept { return confirmed_; }
    std::uint64_t consumed() const noexcept { return consumed_; }
    // Why a client ended early; empty when none did. The broker's death, for example.
    std::string failure() const;

private:
    void publish(std::stop_token stop, std::uint16_t port, const TrafficOptions& options,
                 const std::string& queue);
    void consume(std::stop_token stop, std::uint16_t port, const TrafficOptions& options,
                 const std::string& queue);
    void fail(const std::string& cause);

    std::atomic<std::uint64_t> confirmed_ = 0;
    std::atomic<std::uint64_t> consumed_ = 0;
    mutable std::mutex mutex_;
    std::string failure_;                // guarded by mutex_
    std::vector<std::jthread> clients_;  // last: they use the members above
};

}  // namespace tools
