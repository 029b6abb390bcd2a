#include "tests/tools/traffic.hpp"

#include "erlang_port/error.hpp"
#include "tests/harness/amqp_client.hpp"

#include <chrono>
#include <condition_variable>

namespace tools {

using harness::AmqpClient;
using namespace std::chrono_literals;

namespace {

// Until that time, or shorter when the thread shall stop.
void pause_until(std::stop_token stop, std::chrono::steady_clock::time_point time) {
    std::mutex mutex;
    std::condition_variable_any never;
    std::unique_lock lock(mutex);
    never.wait_until(lock, stop, time, [] { return false; });
}

}  // namespace

Traffic::Traffic(std::uint16_t amqp_port, const TrafficOptions& options) {
    for (std::size_t n = 0; n < options.queues; ++n) {
        const std::string queue = "traffic." + std::to_string(n);
        AmqpClient(amqp_port, options.vhost).declare_queue(queue);
        clients_.emplace_back(
            [=, this](std::stop_token stop) { publish(stop, amqp_port, options, queue); });
        clients_.emplace_back(
            [=, this](std::stop_token stop) { consume(stop, amqp_port, options, queue); });
    }
}

void Traffic::stop() {
    for (std::jthread& client : clients_) {
        client.request_stop();
    }
    clients_.clear();
}

void Traffic::publish(std::stop_token stop, std::uint16_t port, const TrafficOptions& options,
                      const std::string& queue) try {
    AmqpClient client(port, options.vhost);
    const std::string body(options.body_size, 'm');
    const auto interval = std::chrono::duration_cast<std::chrono::steady_clock::duration>(
        std::chrono::duration<double>(static_cast<double>(options.queues) /
                                      options.messages_per_second));
    auto next = std::chrono::steady_clock::now();
    while (!stop.stop_requested()) {
        client.publish("", queue, body);
        ++confirmed_;
        next += interval;
        pause_until(stop, next);
    }
} catch (const hot_backup::Error& error) {
    fail(error.what());
}

void Traffic::consume(std::stop_token stop, std::uint16_t port, const TrafficOptions& options,
                      const std::string& queue) try {
    AmqpClient client(port, options.vhost);
    client.consume(queue, 50);
    while (!stop.stop_requested()) {
        if (const auto delivery = client.next_delivery(100ms)) {
            client.acknowledge(delivery->tag);
            ++consumed_;
        }
    }
} catch (const hot_backup::Error& error) {
    fail(error.what());
}

void Traffic::fail(const std::string& cause) {
    const std::lock_guard lock(mutex_);
    failure_ = cause;
}

std::string Traffic::failure() const {
    const std::lock_guard lock(mutex_);
    return failure_;
}

}  // namespace tools
