#include "tests/bench/load.hpp"

#include "erlang_port/error.hpp"
#include "tests/harness/amqp_client.hpp"

#include <deque>
#include <thread>

namespace bench {

using namespace std::chrono_literals;
using harness::AmqpClient;
using Clock = std::chrono::steady_clock;

namespace {

// Messages of one publisher that wait for their confirm.
constexpr std::size_t window = 200;

// Publishes without waiting, never more than the window ahead of the confirms.
class Publisher {
public:
    Publisher(std::uint16_t port, std::string queue, std::size_t body_size)
        : client_(port), queue_(std::move(queue)), body_(body_size, 'b') {}

    std::size_t unconfirmed() const noexcept { return sent_.size(); }

    void send() {
        const auto number = client_.send("", queue_, body_);
        if (sent_.empty()) {
            first_ = number;
        }
        sent_.push_back(Clock::now());
    }

    // Takes the confirms that come within that time.
    void take_confirms(std::chrono::milliseconds time, std::vector<Confirmed>* into) {
        const auto event = client_.next_event(time);
        if (!event) {
            return;
        }
        const auto& confirm = std::get<harness::Confirm>(*event);
        if (confirm.refused) {
            throw hot_backup::Error(hot_backup::ErrorCode::failed, "a message was refused");
        }
        const auto begin = confirm.multiple ? first_ : confirm.number;
        for (auto number = begin; number <= confirm.number; ++number) {
            settle(number, into);
        }
        while (!sent_.empty() && !sent_.front()) {
            sent_.pop_front();
            ++first_;
        }
    }

private:
    void settle(std::uint64_t number, std::vector<Confirmed>* into) {
        auto& sent = sent_.at(number - first_);
        if (sent && into != nullptr) {
            into->push_back({std::chrono::system_clock::now(),
                             std::chrono::duration<double>(Clock::now() - *sent).count()});
        }
        sent.reset();
    }

    AmqpClient client_;
    std::string queue_;
    std::string body_;
    std::uint64_t first_ = 1;                            // the number of the first in sent_
    std::deque<std::optional<Clock::time_point>> sent_;  // none: confirmed
};

void declare(std::uint16_t port, const std::string& queue, const std::string& type) {
    AmqpClient(port).declare_queue(queue, {.arguments = {{"x-queue-type", {type}}}});
}

}  // namespace

struct Load::Client {
    std::vector<Confirmed> confirmed;  // the thread's until it has ended
    std::string failure;
    std::jthread thread;

    void publish(std::stop_token stop, std::uint16_t port, const std::string& queue,
                 const LoadOptions& options) try {
        Publisher publisher(port, queue, options.body_size);
        const auto share = options.bytes_per_second / static_cast<double>(options.publishers);
        const auto interval =
            std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(
                share > 0 ? static_cast<double>(options.body_size) / share : 0));
        auto next = Clock::now();
        while (!stop.stop_requested()) {
            if (publisher.unconfirmed() < window && Clock::now() >= next) {
                publisher.send();
                next = std::max(next + interval, Clock::now() - 1s);
            }
            const bool wait = publisher.unconfirmed() == window || Clock::now() < next;
            publisher.take_confirms(wait ? 1ms : 0ms, &confirmed);
        }
    } catch (const std::exception& error) {
        failure = error.what();
    }

    void consume(std::stop_token stop, std::uint16_t port, const std::string& queue) try {
        AmqpClient client(port);
        client.consume(queue, 200);
        while (!stop.stop_requested()) {
            if (const auto delivery = client.next_delivery(100ms)) {
                client.acknowledge(delivery->tag);
            }
        }
    } catch (const std::exception& error) {
        failure = error.what();
    }
};

Load::Load(const harness::Broker& broker, const LoadOptions& options) {
    for (std::size_t n = 0; n < options.publishers; ++n) {
        const auto queue = "load." + std::to_string(n);
        declare(broker.amqp_port(), queue, options.queue_type);
        for (const bool publishes : {true, false}) {
            auto& client = *clients_.emplace_back(std::make_unique<Client>());
            client.thread = std::jthread([&client, publishes, queue, options,
                                          port = broker.amqp_port()](std::stop_token stop) {
                publishes ? client.publish(stop, port, queue, options)
                          : client.consume(stop, port, queue);
            });
        }
    }
}

Load::~Load() = default;

std::vector<Confirmed> Load::finish() {
    std::vector<Confirmed> all;
    for (auto& client : clients_) {
        client->thread.request_stop();
    }
    for (auto& client : clients_) {
        client->thread.join();
        if (!client->failure.empty()) {
            throw hot_backup::Error(hot_backup::ErrorCode::failed,
                                    "a client failed: " + client->failure);
        }
        all.insert(all.end(), client->confirmed.begin(), client->confirmed.end());
    }
    clients_.clear();
    return all;
}

void fill(const harness::Broker& broker, const std::string& queue, const std::string& queue_type,
          std::size_t count, std::size_t body_size) {
    declare(broker.amqp_port(), queue, queue_type);
    Publisher publisher(broker.amqp_port(), queue, body_size);
    for (std::size_t n = 0; n < count; ++n) {
        while (publisher.unconfirmed() == window) {
            publisher.take_confirms(100ms, nullptr);
        }
        publisher.send();
    }
    while (publisher.unconfirmed() > 0) {
        publisher.take_confirms(100ms, nullptr);
    }
}

}  // namespace bench
