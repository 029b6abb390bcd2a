#include "tests/integration/service_watch.hpp"

#include "erlang_port/error.hpp"
#include "tests/harness/amqp_client.hpp"
#include "tests/harness/wait.hpp"

#include <algorithm>

namespace integration {

using hot_backup::Error;
using hot_backup::ErrorCode;
using namespace std::chrono_literals;

ServiceWatch::ServiceWatch(const harness::Broker& broker)
    : client_([this, port = broker.amqp_port()](std::stop_token stop) { serve(stop, port); }) {}

void ServiceWatch::serve(std::stop_token stop, std::uint16_t port) {
    try {
        harness::AmqpClient client(port);
        while (!stop.stop_requested()) {
            const auto start = std::chrono::steady_clock::now();
            const std::string body = "message " + std::to_string(rounds_);
            client.declare_queue("service.watch");
            client.publish("", "service.watch", body);
            if (client.get("service.watch") != body) {
                throw Error(ErrorCode::failed, "a confirmed message is not in its queue");
            }
            client.delete_queue("service.watch");
            longest_ = std::max(longest_, std::chrono::steady_clock::now() - start);
            ++rounds_;
            // The pace of the client, to leave the processor to those who are watched.
            std::this_thread::sleep_for(20ms);
        }
    } catch (const std::exception& error) {
        failure_ = error.what();
    }
}

void ServiceWatch::wait_until_it_serves() const {
    const unsigned before = rounds_;
    harness::wait_for("service", 30s, [&] { return rounds_ > before + 5; });
}

std::chrono::milliseconds ServiceWatch::finish() {
    client_.request_stop();
    client_.join();
    if (!failure_.empty() || rounds_ == 0) {
        throw Error(ErrorCode::failed, "the broker did not serve: " + failure_);
    }
    return std::chrono::duration_cast<std::chrono::milliseconds>(longest_);
}

}  // namespace integration
