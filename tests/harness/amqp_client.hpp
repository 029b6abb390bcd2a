// An AMQP 0-9-1 client for tests, over librabbitmq.
//
// One object is one connection with one channel. What the broker refuses throws Error with its
// reply text, and the object is of no further use. Not for use by two threads at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace harness {

// Field tables as values: what clients hand over as arguments of declarations and bindings. Every
// type that RabbitMQ understands is here, so that tests can put each of them into a broker and look
// for it in a backup.
struct AmqpValue;
using AmqpArray = std::vector<AmqpValue>;
using AmqpTable = std::vector<std::pair<std::string, AmqpValue>>;
struct AmqpVoid {};
struct AmqpDecimal {
    std::uint8_t decimals = 0;
    std::uint32_t value = 0;
};
struct AmqpTimestamp {
    std::uint64_t seconds = 0;
};
struct AmqpBytes {  // type 'x'; a std::string is a long string, 'S'
    std::string bytes;
};
struct AmqpValue {
    std::variant<AmqpVoid, bool, std::int8_t, std::uint8_t, std::int16_t, std::uint16_t,
                 std::int32_t, std::uint32_t, std::int64_t, float, double, AmqpDecimal,
                 AmqpTimestamp, std::string, AmqpBytes, AmqpArray, AmqpTable>
        value;
};

struct QueueOptions {
    bool durable = true;
    bool exclusive = false;
    bool auto_delete = false;
    AmqpTable arguments = {};
};

struct ExchangeOptions {
    bool durable = true;
    bool auto_delete = false;
    bool internal = false;
    AmqpTable arguments = {};
};

struct PublishOptions {
    bool persistent = true;
    std::uint8_t priority = 0;
    AmqpTable headers = {};  // none: the property is not sent
    std::optional<std::string> content_type = {};
    std::optional<std::string> content_encoding = {};
    std::optional<std::string> correlation_id = {};
    std::optional<std::string> reply_to = {};
    std::optional<std::string> expiration = {};
    std::optional<std::string> message_id = {};
    std::optional<std::uint64_t> timestamp = {};
    std::optional<std::string> type = {};
    std::optional<std::string> user_id = {};
    std::optional<std::string> app_id = {};
};

struct ConsumeOptions {
    bool acknowledge = true;  // false: a delivery needs no acknowledge()
    AmqpTable arguments = {};
};

struct Delivery {
    std::uint64_t tag = 0;
    bool redelivered = false;
    std::string body;
    std::string exchange;
    std::string routing_key;
    std::string properties;  // as they were on the wire
};

// The broker's word on what send() published.
struct Confirm {
    std::uint64_t number = 0;  // as send() returned it
    bool multiple = false;     // and all before it
    bool refused = false;
};

using Event = std::variant<Delivery, Confirm>;

class AmqpClient {
public:
    explicit AmqpClient(std::uint16_t port, const std::string& vhost = "/",
                        const std::string& user = "guest", const std::string& password = "guest");
    AmqpClient(const AmqpClient&) = delete;
    AmqpClient& operator=(const AmqpClient&) = delete;
    ~AmqpClient();

    void declare_queue(const std::string& name, const QueueOptions& options = {});
    void declare_exchange(const std::string& name, const std::string& type,
                          const ExchangeOptions& options = {});
    void bind_queue(const std::string& queue, const std::string& exchange,
                    const std::string& routing_key, const AmqpTable& arguments = {});
    void bind_exchange(const std::string& destination, const std::string& source,
                       const std::string& routing_key, const AmqpTable& arguments = {});
    void delete_queue(const std::string& name);
    void delete_exchange(const std::string& name);

    // From now on declarations and bindings do not wait for an answer: for many of them. sync()
    // waits for all so far and throws if the broker refused one.
    void send_without_waiting() { without_waiting_ = true; }
    void sync();

    // Publishes a persistent message and waits for the broker's confirm.
    void publish(const std::string& exchange, const std::string& routing_key,
                 const std::string& body);
    // Publishes without waiting and returns the message's number, from 1 on; its confirm comes from
    // next_event(). Not to be mixed with publish() while confirms are due.
    std::uint64_t send(const std::string& exchange, const std::string& routing_key,
                       const std::string& body, const PublishOptions& options = {});
    // Takes a message off a queue and acknowledges it; nothing when the queue is empty.
    std::optional<std::string> get(const std::string& queue);

    // Subscribes; deliveries then come from next_delivery(), to be answered with acknowledge().
    void consume(const std::string& queue, std::uint16_t prefetch,
                 const ConsumeOptions& options = {});
    std::optional<Delivery> next_delivery(std::chrono::milliseconds timeout);
    // As next_delivery(), where confirms may come too.
    std::optional<Event> next_event(std::chrono::milliseconds timeout);
    void acknowledge(std::uint64_t tag);

private:
    struct Connection;
    void call(std::uint32_t method, void* decoded, std::uint32_t answer);

    std::unique_ptr<Connection> connection_;
    bool without_waiting_ = false;
    bool confirms_ = false;
    std::uint64_t published_ = 0;
};

}  // namespace harness
