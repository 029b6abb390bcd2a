#include "tests/harness/amqp_client.hpp"

#include "erlang_port/error.hpp"

#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_tcp_socket.h>

#include <sys/time.h>
#include <deque>

namespace harness {

using hot_backup::Error;
using hot_backup::ErrorCode;

struct AmqpClient::Connection {
    amqp_connection_state_t state = amqp_new_connection();
    bool logged_in = false;

    ~Connection() {
        if (logged_in) {
            // A broker that stands still shall not hold the test up.
            const timeval limit{5, 0};
            amqp_set_rpc_timeout(state, &limit);
            amqp_connection_close(state, AMQP_REPLY_SUCCESS);
        }
        amqp_destroy_connection(state);
    }
};

namespace {

constexpr amqp_channel_t channel = 1;

// The bytes of a string that outlives the result.
amqp_bytes_t bytes_of(const std::string& text) {
    return {text.size(), const_cast<char*>(text.data())};
}

// Lays a table out the way librabbitmq wants it. The result points into this object and into the
// table.
class TableEncoder {
public:
    amqp_table_t encode(const AmqpTable& table) {
        std::vector<amqp_table_entry_t>& entries = tables_.emplace_back(table.size());
        for (std::size_t n = 0; n < table.size(); ++n) {
            entries[n].key = bytes_of(table[n].first);
            entries[n].value = encode(table[n].second);
        }
        return {static_cast<int>(entries.size()), entries.data()};
    }

private:
    amqp_field_value_t encode(const AmqpValue& value) {
        amqp_field_value_t field{};
        std::visit([&](const auto& v) { fill(field, v); }, value.value);
        return field;
    }

    static void fill(amqp_field_value_t& field, AmqpVoid) { field.kind = AMQP_FIELD_KIND_VOID; }
    static void fill(amqp_field_value_t& field, bool v) {
        field.kind = AMQP_FIELD_KIND_BOOLEAN;
        field.value.boolean = v;
    }
    static void fill(amqp_field_value_t& field, std::int8_t v) {
        field.kind = AMQP_FIELD_KIND_I8;
        field.value.i8 = v;
    }
    static void fill(amqp_field_value_t& field, std::uint8_t v) {
        field.kind = AMQP_FIELD_KIND_U8;
        field.value.u8 = v;
    }
    static void fill(amqp_field_value_t& field, std::int16_t v) {
        field.kind = AMQP_FIELD_KIND_I16;
        field.value.i16 = v;
    }
    static void fill(amqp_field_value_t& field, std::uint16_t v) {
        field.kind = AMQP_FIELD_KIND_U16;
        field.value.u16 = v;
    }
    static void fill(amqp_field_value_t& field, std::int32_t v) {
        field.kind = AMQP_FIELD_KIND_I32;
        field.value.i32 = v;
    }
    static void fill(amqp_field_value_t& field, std::uint32_t v) {
        field.kind = AMQP_FIELD_KIND_U32;
        field.value.u32 = v;
    }
    static void fill(amqp_field_value_t& field, std::int64_t v) {
        field.kind = AMQP_FIELD_KIND_I64;
        field.value.i64 = v;
    }
    static void fill(amqp_field_value_t& field, float v) {
        field.kind = AMQP_FIELD_KIND_F32;
        field.value.f32 = v;
    }
    static void fill(amqp_field_value_t& field, double v) {
        field.kind = AMQP_FIELD_KIND_F64;
        field.value.f64 = v;
    }
    static void fill(amqp_field_value_t& field, AmqpDecimal v) {
        field.kind = AMQP_FIELD_KIND_DECIMAL;
        field.value.decimal = {v.decimals, v.value};
    }
    static void fill(amqp_field_value_t& field, AmqpTimestamp v) {
        field.kind = AMQP_FIELD_KIND_TIMESTAMP;
        field.value.u64 = v.seconds;
    }
    static void fill(amqp_field_value_t& field, const std::string& v) {
        field.kind = AMQP_FIELD_KIND_UTF8;
        field.value.bytes = bytes_of(v);
    }
    static void fill(amqp_field_value_t& field, const AmqpBytes& v) {
        field.kind = AMQP_FIELD_KIND_BYTES;
        field.value.bytes = bytes_of(v.bytes);
    }
    void fill(amqp_field_value_t& field, const AmqpArray& v) {
        std::vector<amqp_field_value_t>& entries = arrays_.emplace_back(v.size());
        for (std::size_t n = 0; n < v.size(); ++n) {
            entries[n] = encode(v[n]);
        }
        field.kind = AMQP_FIELD_KIND_ARRAY;
        field.value.array = {static_cast<int>(entries.size()), entries.data()};
    }
    void fill(amqp_field_value_t& field, const AmqpTable& v) {
        field.kind = AMQP_FIELD_KIND_TABLE;
        field.value.table = encode(v);
    }

    // Deques, because the addresses of their elements stay.
    std::deque<std::vector<amqp_table_entry_t>> tables_;
    std::deque<std::vector<amqp_field_value_t>> arrays_;
};

[[noreturn]] void fail(const std::string& what, const std::string& cause) {
    throw Error(ErrorCode::failed, "AMQP: " + what + ": " + cause);
}

std::string text_of(amqp_bytes_t bytes) {
    return {static_cast<const char*>(bytes.bytes), bytes.len};
}

std::string refusal(const amqp_method_t& method) {
    if (method.id == AMQP_CHANNEL_CLOSE_METHOD) {
        return text_of(static_cast<const amqp_channel_close_t*>(method.decoded)->reply_text);
    }
    if (method.id == AMQP_CONNECTION_CLOSE_METHOD) {
        return text_of(static_cast<const amqp_connection_close_t*>(method.decoded)->reply_text);
    }
    return std::string("unexpected ") + amqp_method_name(method.id);
}

void check(const amqp_rpc_reply_t& reply, const std::string& what) {
    if (reply.reply_type == AMQP_RESPONSE_NORMAL) {
        return;
    }
    fail(what, reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION
                   ? refusal(reply.reply)
                   : std::string(amqp_error_string2(reply.library_error)));
}

void check(int status, const std::string& what) {
    if (status < 0) {
        fail(what, amqp_error_string2(status));
    }
}

timeval timeval_of(std::chrono::milliseconds time) {
    return {time.count() / 1000, (time.count() % 1000) * 1000};
}

amqp_frame_t next_frame(amqp_connection_state_t state, std::uint8_t type) {
    amqp_frame_t frame{};
    check(amqp_simple_wait_frame(state, &frame), "read a delivery");
    if (frame.frame_type != type) {
        fail("read a delivery", "a frame out of order");
    }
    return frame;
}

// Frame by frame, because librabbitmq's own function loses the properties' bytes.
Delivery read_delivery(amqp_connection_state_t state, const amqp_basic_deliver_t& deliver) {
    Delivery delivery{deliver.delivery_tag,      deliver.redelivered != 0,     {},
                      text_of(deliver.exchange), text_of(deliver.routing_key), {}};
    const amqp_frame_t header = next_frame(state, AMQP_FRAME_HEADER);
    delivery.properties = text_of(header.payload.properties.raw);
    const std::uint64_t size = header.payload.properties.body_size;
    while (delivery.body.size() < size) {
        delivery.body += text_of(next_frame(state, AMQP_FRAME_BODY).payload.body_fragment);
    }
    return delivery;
}

// Nothing when the time is over; without a limit it waits for ever.
std::optional<Event> read_event(amqp_connection_state_t state, const timeval* limit) {
    amqp_maybe_release_buffers(state);
    amqp_frame_t frame{};
    const int status = amqp_simple_wait_frame_noblock(state, &frame, limit);
    if (status == AMQP_STATUS_TIMEOUT) {
        return std::nullopt;
    }
    check(status, "wait for the broker");
    const amqp_method_t& method = frame.payload.method;
    if (frame.frame_type == AMQP_FRAME_METHOD && method.id == AMQP_BASIC_DELIVER_METHOD) {
        return read_delivery(state, *static_cast<const amqp_basic_deliver_t*>(method.decoded));
    }
    if (frame.frame_type == AMQP_FRAME_METHOD && method.id == AMQP_BASIC_ACK_METHOD) {
        const auto& ack = *static_cast<const amqp_basic_ack_t*>(method.decoded);
        return Confirm{ack.delivery_tag, ack.multiple != 0, false};
    }
    if (frame.frame_type == AMQP_FRAME_METHOD && method.id == AMQP_BASIC_NACK_METHOD) {
        const auto& nack = *static_cast<const amqp_basic_nack_t*>(method.decoded);
        return Confirm{nack.delivery_tag, nack.multiple != 0, true};
    }
    fail("wait for the broker",
         frame.frame_type == AMQP_FRAME_METHOD
             ? refusal(method)
             : "an unexpected frame of type " + std::to_string(int{frame.frame_type}));
}

}  // namespace

AmqpClient::AmqpClient(std::uint16_t port, const std::string& vhost, const std::string& user,
                       const std::string& password)
    : connection_(std::make_unique<Connection>()) {
    amqp_socket_t* socket = amqp_tcp_socket_new(connection_->state);
    if (socket == nullptr) {
        fail("connect", "no memory");
    }
    check(amqp_socket_open(socket, "127.0.0.1", port), "connect");
    check(amqp_login(connection_->state, vhost.c_str(), 0, 131072, 0, AMQP_SASL_METHOD_PLAIN,
                     user.c_str(), password.c_str()),
          "log in to vhost " + vhost);
    connection_->logged_in = true;
    amqp_channel_open(connection_->state, channel);
    check(amqp_get_rpc_reply(connection_->state), "open a channel");
}

AmqpClient::~AmqpClient() = default;

void AmqpClient::call(std::uint32_t method, void* decoded, std::uint32_t answer) {
    if (without_waiting_) {
        check(amqp_send_method(connection_->state, channel, method, decoded),
              amqp_method_name(method));
        return;
    }
    amqp_method_number_t answers[] = {answer, 0};
    check(amqp_simple_rpc(connection_->state, channel, method, answers, decoded),
          amqp_method_name(method));
    amqp_maybe_release_buffers(connection_->state);
}

void AmqpClient::declare_queue(const std::string& name, const QueueOptions& options) {
    TableEncoder encoder;
    amqp_queue_declare_t declare{};
    declare.queue = bytes_of(name);
    declare.durable = options.durable;
    declare.exclusive = options.exclusive;
    declare.auto_delete = options.auto_delete;
    declare.nowait = without_waiting_;
    declare.arguments = encoder.encode(options.arguments);
    call(AMQP_QUEUE_DECLARE_METHOD, &declare, AMQP_QUEUE_DECLARE_OK_METHOD);
}

void AmqpClient::declare_exchange(const std::string& name, const std::string& type,
                                  const ExchangeOptions& options) {
    TableEncoder encoder;
    amqp_exchange_declare_t declare{};
    declare.exchange = bytes_of(name);
    declare.type = bytes_of(type);
    declare.durable = options.durable;
    declare.auto_delete = options.auto_delete;
    declare.internal = options.internal;
    declare.nowait = without_waiting_;
    declare.arguments = encoder.encode(options.arguments);
    call(AMQP_EXCHANGE_DECLARE_METHOD, &declare, AMQP_EXCHANGE_DECLARE_OK_METHOD);
}

void AmqpClient::bind_queue(const std::string& queue, const std::string& exchange,
                            const std::string& routing_key, const AmqpTable& arguments) {
    TableEncoder encoder;
    amqp_queue_bind_t bind{};
    bind.queue = bytes_of(queue);
    bind.exchange = bytes_of(exchange);
    bind.routing_key = bytes_of(routing_key);
    bind.nowait = without_waiting_;
    bind.arguments = encoder.encode(arguments);
    call(AMQP_QUEUE_BIND_METHOD, &bind, AMQP_QUEUE_BIND_OK_METHOD);
}

void AmqpClient::bind_exchange(const std::string& destination, const std::string& source,
                               const std::string& routing_key, const AmqpTable& arguments) {
    TableEncoder encoder;
    amqp_exchange_bind_t bind{};
    bind.destination = bytes_of(destination);
    bind.source = bytes_of(source);
    bind.routing_key = bytes_of(routing_key);
    bind.nowait = without_waiting_;
    bind.arguments = encoder.encode(arguments);
    call(AMQP_EXCHANGE_BIND_METHOD, &bind, AMQP_EXCHANGE_BIND_OK_METHOD);
}

void AmqpClient::delete_queue(const std::string& name) {
    amqp_queue_delete_t request{};
    request.queue = bytes_of(name);
    request.nowait = without_waiting_;
    call(AMQP_QUEUE_DELETE_METHOD, &request, AMQP_QUEUE_DELETE_OK_METHOD);
}

void AmqpClient::delete_exchange(const std::string& name) {
    amqp_exchange_delete_t request{};
    request.exchange = bytes_of(name);
    request.nowait = without_waiting_;
    call(AMQP_EXCHANGE_DELETE_METHOD, &request, AMQP_EXCHANGE_DELETE_OK_METHOD);
}

void AmqpClient::sync() {
    // A channel's methods are handled in order: when this is answered, so are all before it. Should
    // one of them have been refused, its channel.close comes in place of this answer.
    amqp_basic_qos(connection_->state, channel, 0, 0, 0);
    check(amqp_get_rpc_reply(connection_->state), "declare");
    amqp_maybe_release_buffers(connection_->state);
}

void AmqpClient::publish(const std::string& exchange, const std::string& routing_key,
                         const std::string& body) {
    send(exchange, routing_key, body);
    const std::optional<Event> event = read_event(connection_->state, nullptr);
    if (const auto* confirm = std::get_if<Confirm>(&*event); confirm == nullptr) {
        fail("publish to " + exchange, "a delivery came in the place of the confirm");
    } else if (confirm->refused) {
        fail("publish to " + exchange, "refused");
    }
}

std::uint64_t AmqpClient::send(const std::string& exchange, const std::string& routing_key,
                               const std::string& body, const PublishOptions& options) {
    amqp_connection_state_t state = connection_->state;
    if (!confirms_) {
        amqp_confirm_select(state, channel);
        check(amqp_get_rpc_reply(state), "confirm.select");
        confirms_ = true;
    }
    amqp_basic_properties_t properties{};
    properties._flags = AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_PRIORITY_FLAG;
    properties.delivery_mode = options.persistent ? 2 : 1;
    properties.priority = options.priority;
    TableEncoder encoder;
    if (!options.headers.empty()) {
        properties._flags |= AMQP_BASIC_HEADERS_FLAG;
        properties.headers = encoder.encode(options.headers);
    }
    if (options.timestamp) {
        properties._flags |= AMQP_BASIC_TIMESTAMP_FLAG;
        properties.timestamp = *options.timestamp;
    }
    const auto set = [&](const std::optional<std::string>& text, amqp_flags_t flag,
                         amqp_bytes_t& property) {
        if (text) {
            properties._flags |= flag;
            property = bytes_of(*text);
        }
    };
    set(options.content_type, AMQP_BASIC_CONTENT_TYPE_FLAG, properties.content_type);
    set(options.content_encoding, AMQP_BASIC_CONTENT_ENCODING_FLAG, properties.content_encoding);
    set(options.correlation_id, AMQP_BASIC_CORRELATION_ID_FLAG, properties.correlation_id);
    set(options.reply_to, AMQP_BASIC_REPLY_TO_FLAG, properties.reply_to);
    set(options.expiration, AMQP_BASIC_EXPIRATION_FLAG, properties.expiration);
    set(options.message_id, AMQP_BASIC_MESSAGE_ID_FLAG, properties.message_id);
    set(options.type, AMQP_BASIC_TYPE_FLAG, properties.type);
    set(options.user_id, AMQP_BASIC_USER_ID_FLAG, properties.user_id);
    set(options.app_id, AMQP_BASIC_APP_ID_FLAG, properties.app_id);
    check(amqp_basic_publish(state, channel, bytes_of(exchange), bytes_of(routing_key), 0, 0,
                             &properties, bytes_of(body)),
          "publish");
    return ++published_;
}

std::optional<std::string> AmqpClient::get(const std::string& queue) {
    amqp_connection_state_t state = connection_->state;
    const amqp_rpc_reply_t reply = amqp_basic_get(state, channel, bytes_of(queue), 1);
    check(reply, "get from " + queue);
    if (reply.reply.id != AMQP_BASIC_GET_OK_METHOD) {
        return std::nullopt;
    }
    amqp_message_t message{};
    check(amqp_read_message(state, channel, &message, 0), "get from " + queue);
    std::string body = text_of(message.body);
    amqp_destroy_message(&message);
    amqp_maybe_release_buffers(state);
    return body;
}

void AmqpClient::consume(const std::string& queue, std::uint16_t prefetch,
                         const ConsumeOptions& options) {
    amqp_basic_qos(connection_->state, channel, 0, prefetch, 0);
    check(amqp_get_rpc_reply(connection_->state), "qos");
    TableEncoder encoder;
    amqp_basic_consume(connection_->state, channel, bytes_of(queue), amqp_empty_bytes, 0,
                       !options.acknowledge, 0, encoder.encode(options.arguments));
    check(amqp_get_rpc_reply(connection_->state), "consume from " + queue);
}

std::optional<Delivery> AmqpClient::next_delivery(std::chrono::milliseconds timeout) {
    std::optional<Event> event = next_event(timeout);
    if (!event) {
        return std::nullopt;
    }
    if (!std::holds_alternative<Delivery>(*event)) {
        fail("wait for a delivery", "a confirm came in its place");
    }
    return std::get<Delivery>(std::move(*event));
}

std::optional<Event> AmqpClient::next_event(std::chrono::milliseconds timeout) {
    const timeval limit = timeval_of(timeout);
    return read_event(connection_->state, &limit);
}

void AmqpClient::acknowledge(std::uint64_t tag) {
    check(amqp_basic_ack(connection_->state, channel, tag, 0), "acknowledge");
}

}  // namespace harness
