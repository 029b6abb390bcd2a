// Brings messages into one queue of a live broker, in order, through the plugin's operations:
// docs/protocol.md, "Delivering".
//
// Messages are numbered from 0 on, over all attempts of a transfer. They are sent in batches; some
// batches are unconfirmed at any time.
#pragma once

#include "erlang_port/term.hpp"
#include "sidecar/engine/broker.hpp"
#include "sidecar/transfer/message.hpp"
#include "sidecar/transfer/queue_name.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace hot_backup {

struct DeliveryCallbacks {
    // Before a batch goes out: the position behind its last message. Whoever keeps a journal writes
    // it down.
    std::function<void(std::uint64_t end)> sending;
    // The queue has all messages before this position.
    std::function<void(std::uint64_t position)> confirmed;
    // The target blocks its publishers for these reasons ("memory", "disk"); none: no longer.
    std::function<void(const std::vector<std::string>& alarms)> blocked;
};

class Delivery {
public:
    // Begins or continues the delivery of `transfer` to the queue. `position` is where it begins
    // when the target does not remember it. Throws Error as the plugin does: there is no such
    // queue, or another session delivers.
    Delivery(Broker& target, std::string transfer, QueueName queue, std::uint64_t position,
             DeliveryCallbacks callbacks);

    const std::string& type() const noexcept { return type_; }
    // Tells the queue from another one that has its name later; empty when nothing does.
    const std::string& identity() const noexcept { return identity_; }
    // Whether the queue that the target remembers was deleted: this is another one.
    bool deleted() const noexcept { return deleted_; }
    // The first message to be added. The queue has all before it.
    std::uint64_t position() const noexcept { return first_; }
    // Whether the target remembers the delivery; else the position is the one that was asked for.
    bool remembered() const noexcept { return remembered_; }
    // So many messages from the position on the queue was given and has not confirmed.
    std::uint64_t uncertain() const noexcept { return uncertain_; }

    // Adds the next message; sends a batch when it is full. Waits while the target blocks its
    // publishers. Throws Error failed: the queue was deleted, rejects messages, or confirms none
    // for five minutes.
    void add(Message message);
    // Sends what is left, waits until everything is confirmed and ends the delivery.
    void finish();
    // Ends the delivery: the target forgets it.
    void end();

private:
    using Clock = std::chrono::steady_clock;

    // What the plugin answers to a batch.
    struct Progress {
        bool taken = false;
        std::vector<std::string> alarms;
    };

    std::vector<std::pair<std::string_view, erlang::Term>> arguments() const;
    void send_batch();
    void send_parts(std::string& body);
    Progress deliver(const erlang::Term& messages);
    void note(std::uint64_t confirmed);
    void wait_for_alarms(const std::vector<std::string>& alarms);
    void throw_if_stalled() const;

    Broker& target_;
    std::string transfer_;
    QueueName queue_;
    DeliveryCallbacks callbacks_;
    std::string type_;
    std::string identity_;
    bool deleted_ = false;
    std::uint64_t first_ = 0;
    bool remembered_ = false;
    std::uint64_t uncertain_ = 0;
    std::uint64_t next_ = 0;       // the position of the batch's first message
    std::uint64_t confirmed_ = 0;  // the queue has all before this
    Clock::time_point progressed_ = Clock::now();
    std::vector<erlang::Term> batch_;
    std::size_t batch_bytes_ = 0;
    bool blocked_ = false;
};

}  // namespace hot_backup
