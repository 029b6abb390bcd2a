// A source and a target: two throw-away brokers, the first of which stands for one that was booted
// from a backup.
#pragma once

#include "sidecar/transfer/transfer.hpp"
#include "tests/harness/amqp_client.hpp"
#include "tests/harness/broker.hpp"

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace transfer_tests {

harness::Broker& source_broker();
harness::Broker& target_broker();

// A session with the plugin.
hot_backup::Broker attach(const harness::Broker& broker, std::function<void()> interrupt = {});

// What a test wants to say of a transfer besides the queues.
struct Wishes {
    std::optional<std::string> as = {};
    std::filesystem::path journal = {};  // none: a new one
    hot_backup::TransferCallbacks callbacks = {};
    std::function<void()> interrupt = {};
    std::function<void()> declared = {};  // called between the declarations and the messages
};

struct Transferred {
    hot_backup::TransferPlan plan;
    std::vector<hot_backup::QueueOutcome> outcomes;
    bool resumed = false;
};

hot_backup::TransferPlan make_plan(const std::vector<std::string>& queues,
                                   const std::optional<std::string>& as = {});
// Plans, declares and transfers `queues` (VHOST/NAME or patterns) from the source to the target.
Transferred transfer(const std::vector<std::string>& queues, const Wishes& wishes = {});

// Takes all messages of a queue off it, with acknowledgement; from the beginning of a stream, and
// then as many as there should be.
std::vector<harness::Delivery> consume_all(const harness::Broker& broker, const std::string& vhost,
                                           const std::string& queue,
                                           std::optional<std::size_t> stream_messages = {});
// The messages that are ready, by the queue's own word.
std::size_t count(const harness::Broker& broker, const std::string& vhost,
                  const std::string& queue);

// The body of the n-th message of fill().
std::string body(std::size_t n);
// Declares the queue, anew if there is one, and publishes so many messages to it: the same each
// time, so that a source can be "booted again".
void fill(const harness::Broker& broker, const std::string& vhost, const std::string& queue,
          const std::string& type, std::size_t messages);

// Waits until the broker has confirmed as many messages as `client` has sent.
void wait_for_confirms(harness::AmqpClient& client, std::uint64_t sent);

harness::QueueOptions of_type(const std::string& type);

}  // namespace transfer_tests
