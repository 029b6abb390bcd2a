// The clients of the load: each is a function that runs on a thread of its own until it is stopped,
// and writes into the ledger what it does. They throw Error when the broker does something that a
// client should not see.
#pragma once

#include "tests/exactness/gate.hpp"
#include "tests/exactness/ledger.hpp"
#include "tests/harness/broker.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <vector>

namespace exactness {

// What all clients share.
struct Surroundings {
    // One, or the nodes of a cluster. Each queue has its place on one of them, where it is declared
    // and its clients are connected.
    std::vector<const harness::Broker*> brokers;
    Ledger& ledger;
    Gate& gate;
    std::atomic<std::uint64_t>& last_id;

    const harness::Broker& place_of(const QueueName& queue) const;
};

struct Publishing {
    QueueName queue;
    double bytes_per_second = 0;
    std::size_t most_waiting = 0;  // messages in the queue; then the publisher waits
    bool queue_is_durable = true;
    double transient_share = 0;  // of the messages
    std::uint8_t highest_priority = 0;
};
// With many messages on their way, and confirms as they come.
void publish(const Surroundings& surroundings, const Publishing& publishing, std::stop_token stop);

struct Consuming {
    QueueName queue;
    std::size_t held = 0;  // messages that it has not acknowledged
    // Where each message is published, and confirmed, before it is acknowledged here.
    std::optional<QueueName> move_to = {};
    double bytes_per_second = 1e9;  // that it takes at most
};
void consume(const Surroundings& surroundings, const Consuming& consuming, std::stop_token stop);

// Queues of all types are declared, bound and filled, and deleted after a while.
void change_queues(const Surroundings& surroundings, std::stop_token stop);
// Virtual hosts are made, get a queue with messages, and are deleted after a while.
void change_vhosts(const Surroundings& surroundings, std::stop_token stop);
// Quorum queues of a cluster get another leader, some times a second. `moved` counts how often.
void move_leaders(const Surroundings& surroundings, const std::vector<QueueName>& queues,
                  std::atomic<std::uint64_t>& moved, std::stop_token stop);

}  // namespace exactness
