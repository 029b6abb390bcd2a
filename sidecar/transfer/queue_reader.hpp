// Reads all messages of a queue over AMQP 0-9-1, as a consumer, and acknowledges them: only from a
// broker that is thrown away afterwards.
//
// A classic or quorum queue ends with as many messages as it said to have. A stream has no count
// that is exact (its offsets have gaps), so a message of ours is published behind its last one:
// that is where it ends.
#pragma once

#include "sidecar/transfer/message.hpp"
#include "sidecar/transfer/queue_name.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hot_backup {

struct AmqpAddress {
    std::uint16_t port = 0;  // of the loopback interface
    std::string user;
    std::string password;
};

class QueueReader {
public:
    // `type` is "classic", "quorum" or "stream"; `count`: how many messages there are, which a
    // stream does not say. `while_waiting` is called often while the broker is waited for, and
    // throws to end that. A busy broker is given some minutes to take the connection. Error failed:
    // the broker refuses, with its own words, or does not answer.
    QueueReader(const AmqpAddress& address, const QueueName& queue, const std::string& type,
                std::optional<std::uint64_t> count, std::function<void()> while_waiting);
    ~QueueReader();
    QueueReader(const QueueReader&) = delete;
    QueueReader& operator=(const QueueReader&) = delete;

    // The next message, in the queue's order; nothing when there are no more. Error failed: the
    // queue gives fewer than it counted, or nothing comes for a minute.
    std::optional<Message> next();

private:
    struct Connection;
    struct Frame;

    void connect(const AmqpAddress& address);
    void start_consuming();
    std::uint64_t read_delivery(Message& message);
    void read_content(Message& message);
    Frame wait_for_frame();

    QueueName queue_;
    // What the queue adds to a message for its consumers, and did not get from a publisher.
    std::vector<std::string_view> added_headers_;
    std::optional<std::uint64_t> count_;
    std::function<void()> while_waiting_;
    std::unique_ptr<Connection> connection_;
    std::uint64_t read_ = 0;
    std::uint64_t unacknowledged_ = 0;
    std::string end_mark_;  // the body of the message behind a stream's last one
    bool ended_ = false;
};

}  // namespace hot_backup
