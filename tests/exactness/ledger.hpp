// What the clients know: each message in each queue, and when they did what with it.
//
// All times come from one clock, and each is taken on the side that claims less: `sent` before the
// publishing begins, `confirmed` after the confirm was read, `acknowledged` before the
// acknowledgement is sent. So a message with `confirmed` before an instant had been confirmed by
// then, one with `sent` after it had not been published, and one with `acknowledged` after it had
// not been acknowledged.
//
// Any thread may use a Ledger.
#pragma once

#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

namespace exactness {

// Of CLOCK_REALTIME, which the broker on this machine has too.
using Time = std::chrono::sys_time<std::chrono::microseconds>;
Time now();

struct QueueName {
    std::string vhost;
    std::string name;
    auto operator<=>(const QueueName&) const = default;
};
std::string to_string(const QueueName& queue);

struct Record {
    // False for a transient message, and for any in a queue that is not durable.
    bool survives_restart = true;
    Time sent;
    std::optional<Time> confirmed;
    std::optional<Time> acknowledged;
};
// By message ID.
using Records = std::unordered_map<std::uint64_t, Record>;

class Ledger {
public:
    // Before the message is published.
    void sending(const QueueName& queue, std::uint64_t id, bool survives_restart = true);
    // After its confirm was read.
    void confirmed(const QueueName& queue, std::uint64_t id);
    // Before its acknowledgement is sent.
    void acknowledging(const QueueName& queue, std::uint64_t id);
    // Before the queue is deleted, which takes all of its messages as an acknowledgement does.
    void deleting(const QueueName& queue);

    // How many messages were sent to the queue and not acknowledged.
    std::size_t backlog(const QueueName& queue) const;
    // How many confirms were read.
    std::uint64_t confirms() const;
    std::map<QueueName, Records> records() const;
    // When the deletion of which queue began.
    std::map<QueueName, Time> deletions() const;

private:
    struct Queue {
        Records records;
        std::size_t backlog = 0;
    };

    mutable std::mutex mutex_;
    std::map<QueueName, Queue> queues_;
    std::map<QueueName, Time> deletions_;
    std::uint64_t confirms_ = 0;
};

}  // namespace exactness
