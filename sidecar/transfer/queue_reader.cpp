#include "sidecar/transfer/queue_reader.hpp"

#include "erlang_port/error.hpp"
#include "sidecar/repository/random_uuid.hpp"
#include "sidecar/transfer/message_properties.hpp"

#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_tcp_socket.h>

#include <sys/time.h>
#include <thread>
#include <utility>

namespace hot_backup {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr amqp_channel_t channel = 1;
constexpr int frame_size = 128 * 1024;
// Messages that the broker sends ahead, and how many are acknowledged at once.
constexpr std::uint16_t prefetch = 2000;
constexpr std::uint64_t acknowledge_every = 500;
// How long a queue may give nothing although it has messages.
constexpr auto stall = 60s;
// How long one step of the way to a consumer may take: shorter than what a node waits for the ticks
// of a connection that stands idle meanwhile. And how long all attempts together: a broker that was
// just booted, on a busy machine, may need some.
constexpr timeval step_time{20, 0};
constexpr auto connecting_time = 3min;
constexpr auto between_attempts = 200ms;
// The one step that is not tried again: the queue may have given messages to the consumer, and
// would give others first to the next one.
constexpr timeval consume_time{40, 0};

std::vector<std::string_view> added_headers(const std::string& type) {
    if (type == "quorum") {
        return {"x-delivery-count", "x-acquired-count"};
    }
    return type == "stream" ? std::vector<std::string_view>{"x-stream-offset"}
                            : std::vector<std::string_view>{};
}

amqp_bytes_t bytes_of(const std::string& text) {
    return {text.size(), const_cast<char*>(text.data())};
}

std::string_view view(amqp_bytes_t bytes) {
    return {static_cast<const char*>(bytes.bytes), bytes.len};
}

std::string refusal(const amqp_method_t& method) {
    if (method.id == AMQP_CHANNEL_CLOSE_METHOD) {
        return std::string(view(static_cast<amqp_channel_close_t*>(method.decoded)->reply_text));
    }
    if (method.id == AMQP_CONNECTION_CLOSE_METHOD) {
        return std::string(view(static_cast<amqp_connection_close_t*>(method.decoded)->reply_text));
    }
    if (method.id == AMQP_BASIC_CANCEL_METHOD) {
        return "the queue ended";
    }
    return std::string("an unexpected ") + amqp_method_name(method.id);
}

}  // namespace

struct QueueReader::Connection {
    amqp_connection_state_t state = amqp_new_connection();

    Connection() = default;
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;
    // The broker is ours and about to end: it is not said good-bye to.
    ~Connection() { amqp_destroy_connection(state); }
};

struct QueueReader::Frame : amqp_frame_t {};

namespace {

[[noreturn]] void fail(const QueueName& queue, const std::string& cause) {
    throw Error(ErrorCode::failed, "cannot read " + describe(queue) + " of the backup: " + cause,
                "See the log of the broker that was booted from the backup.");
}

void check(const QueueName& queue, const std::string& step, int status) {
    if (status < 0) {
        fail(queue, step + ": " + amqp_error_string2(status));
    }
}

// The broker gave no answer in time, or broke the connection, before it could give messages: it can
// be tried again.
struct Unconnected {
    std::string cause;
};

// For the steps of connecting; `step` is what was tried.
void check_step(const std::string& step, int status) {
    if (status < 0) {
        throw Unconnected{step + ": " + amqp_error_string2(status)};
    }
}

void check_step(const QueueName& queue, const std::string& step, const amqp_rpc_reply_t& reply) {
    if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION) {
        fail(queue, step + ": " + refusal(reply.reply));
    }
    if (reply.reply_type != AMQP_RESPONSE_NORMAL) {
        check_step(step, reply.library_error);
    }
}

}  // namespace

QueueReader::QueueReader(const AmqpAddress& address, const QueueName& queue,
                         const std::string& type, std::optional<std::uint64_t> count,
                         std::function<void()> while_waiting)
    : queue_(queue),
      added_headers_(added_headers(type)),
      count_(count),
      while_waiting_(std::move(while_waiting)),
      end_mark_(count ? std::string() : random_uuid()),
      ended_(count == 0) {
    if (ended_) {
        return;
    }
    for (const auto deadline = Clock::now() + connecting_time;;) {
        try {
            connect(address);
            break;
        } catch (const Unconnected& attempt) {
            if (Clock::now() >= deadline) {
                fail(queue_, attempt.cause);
            }
        }
        while_waiting_();
        std::this_thread::sleep_for(between_attempts);
    }
    start_consuming();
}

QueueReader::~QueueReader() = default;

void QueueReader::connect(const AmqpAddress& address) {
    connection_ = std::make_unique<Connection>();
    auto* state = connection_->state;
    auto* socket = amqp_tcp_socket_new(state);
    if (socket == nullptr) {
        fail(queue_, "no memory");
    }
    const int opened = amqp_socket_open_noblock(socket, "127.0.0.1", address.port, &step_time);
    if (opened != AMQP_STATUS_TIMEOUT) {
        check(queue_, "connect", opened);  // nobody listens any more: the broker has ended
    }
    check_step("connect", opened);
    // The log-in has a limit of its own in librabbitmq.
    amqp_set_handshake_timeout(state, &step_time);
    amqp_set_rpc_timeout(state, &step_time);
    check_step(queue_, "log in",
               amqp_login(state, queue_.vhost.c_str(), 0, frame_size, 0, AMQP_SASL_METHOD_PLAIN,
                          address.user.c_str(), address.password.c_str()));
    amqp_channel_open(state, channel);
    check_step(queue_, "open a channel", amqp_get_rpc_reply(state));
    amqp_basic_qos(state, channel, 0, prefetch, 0);
    check_step(queue_, "set the prefetch", amqp_get_rpc_reply(state));
    if (!count_) {
        // Of several attempts the first mark counts.
        check_step("mark the end",
                   amqp_basic_publish(state, channel, amqp_empty_bytes, bytes_of(queue_.name), 0, 0,
                                      nullptr, bytes_of(end_mark_)));
    }
}

void QueueReader::start_consuming() {
    auto* state = connection_->state;
    amqp_set_rpc_timeout(state, &consume_time);
    amqp_table_entry_t from_first{};
    from_first.key = amqp_cstring_bytes("x-stream-offset");
    from_first.value.kind = AMQP_FIELD_KIND_UTF8;
    from_first.value.value.bytes = amqp_cstring_bytes("first");
    amqp_basic_consume(state, channel, bytes_of(queue_.name), amqp_empty_bytes, 0, 0, 0,
                       count_ ? amqp_empty_table : amqp_table_t{1, &from_first});
    try {
        check_step(queue_, "consume", amqp_get_rpc_reply(state));
    } catch (const Unconnected& attempt) {
        fail(queue_, attempt.cause);
    }
}

std::optional<Message> QueueReader::next() {
    if (ended_) {
        return std::nullopt;
    }
    Message message;
    const auto tag = read_delivery(message);
    if (!count_ && message.body == end_mark_) {
        ended_ = true;
        return std::nullopt;
    }
    ++read_;
    ended_ = count_ && read_ == *count_;
    if (++unacknowledged_ == acknowledge_every || ended_) {
        check(queue_, "acknowledge", amqp_basic_ack(connection_->state, channel, tag, 1));
        unacknowledged_ = 0;
    }
    message.properties = without_headers(message.properties, added_headers_);
    return message;
}

// Returns the delivery's tag.
std::uint64_t QueueReader::read_delivery(Message& message) {
    const auto frame = wait_for_frame();
    const auto& method = frame.payload.method;
    if (frame.frame_type != AMQP_FRAME_METHOD || method.id != AMQP_BASIC_DELIVER_METHOD) {
        fail(queue_,
             frame.frame_type == AMQP_FRAME_METHOD ? refusal(method) : "a frame out of order");
    }
    const auto& deliver = *static_cast<const amqp_basic_deliver_t*>(method.decoded);
    message.exchange = view(deliver.exchange);
    message.routing_key = view(deliver.routing_key);
    const auto tag = deliver.delivery_tag;
    read_content(message);
    amqp_maybe_release_buffers_on_channel(connection_->state, channel);
    return tag;
}

void QueueReader::read_content(Message& message) {
    const auto header = wait_for_frame();
    if (header.frame_type != AMQP_FRAME_HEADER) {
        fail(queue_, "a frame out of order");
    }
    message.properties = view(header.payload.properties.raw);
    const auto size = header.payload.properties.body_size;
    message.body.reserve(size);
    while (message.body.size() < size) {
        const auto body = wait_for_frame();
        if (body.frame_type != AMQP_FRAME_BODY) {
            fail(queue_, "a frame out of order");
        }
        message.body += view(body.payload.body_fragment);
    }
}

QueueReader::Frame QueueReader::wait_for_frame() {
    const auto deadline = Clock::now() + stall;
    for (;;) {
        Frame frame{};
        const timeval moment{0, 100'000};
        const int status = amqp_simple_wait_frame_noblock(connection_->state, &frame, &moment);
        if (status != AMQP_STATUS_TIMEOUT) {
            check(queue_, "receive", status);
            return frame;
        }
        while_waiting_();
        if (Clock::now() >= deadline) {
            fail(queue_, "it gave " + std::to_string(read_) + " messages" +
                             (count_ ? " of " + std::to_string(*count_) : std::string()) +
                             ", then nothing for a minute");
        }
    }
}

}  // namespace hot_backup
