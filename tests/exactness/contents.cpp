#include "tests/exactness/contents.hpp"

#include "erlang_port/error.hpp"
#include "tests/exactness/message.hpp"
#include "tests/harness/amqp_client.hpp"
#include "tests/harness/wait.hpp"

namespace exactness {

using harness::AmqpClient;
using hot_backup::Error;
using hot_backup::ErrorCode;
using namespace std::chrono_literals;

namespace {

const std::string last_message = "the last message";

// A quorum queue knows the consumers of the node's former life, and gets their messages back when
// it has noticed that they are gone.
void wait_for_returns(const harness::Broker& broker, const QueueName& queue) {
    const auto quoted = [](const std::string& text) { return "<<\"" + text + "\"/utf8>>"; };
    const std::string none_is_out = "{ok, Q} = rabbit_amqqueue:lookup(rabbit_misc:r(" +
                                    quoted(queue.vhost) + ", queue, " + quoted(queue.name) +
                                    ")), {ok, N, _} = ra:consistent_query(amqqueue:get_pid(Q),"
                                    " {rabbit_fifo, query_messages_checked_out, []}), N =:= 0.";
    harness::wait_for("the return of unacknowledged messages", 30s,
                      [&] { return broker.eval(none_is_out).is_atom("true"); });
}

// What is published now, with the lowest priority, comes out last: so the end of a queue is known
// without waiting for what may not come.
std::vector<std::optional<std::uint64_t>> take_all(const harness::Broker& broker,
                                                   const QueueName& queue, bool is_stream) {
    AmqpClient client(broker.amqp_port(), queue.vhost);
    client.publish("", queue.name, last_message);
    if (is_stream) {
        client.consume(queue.name, 1000,
                       {.arguments = {{"x-stream-offset", {std::string("first")}}}});
    } else {
        client.consume(queue.name, 0, {.acknowledge = false});
    }
    std::vector<std::optional<std::uint64_t>> messages;
    for (;;) {
        const auto delivery = client.next_delivery(30s);
        if (!delivery) {
            throw Error(ErrorCode::failed, to_string(queue) + " does not give its messages");
        }
        if (is_stream) {
            client.acknowledge(delivery->tag);
        }
        if (delivery->body == last_message) {
            return messages;
        }
        messages.push_back(id_of(delivery->body));
    }
}

// What the broker itself says about why it did not give them.
std::string last_crash(const harness::Broker& broker) {
    const std::string log = broker.log();
    const auto crash = log.rfind("crasher:");
    return crash == std::string::npos ? std::string() : ": " + log.substr(crash, 3000);
}

}  // namespace

Contents take_contents(const harness::Broker& broker, const nlohmann::json& definitions) {
    Contents contents;
    for (const nlohmann::json& queue : definitions.at("queues")) {
        const QueueName name{queue.at("vhost"), queue.at("name")};
        const std::string type = queue.at("arguments").value("x-queue-type", "classic");
        try {
            if (type == "quorum") {
                wait_for_returns(broker, name);
            }
            contents.messages.emplace(name, take_all(broker, name, type == "stream"));
        } catch (const Error& error) {
            contents.unavailable.push_back(to_string(name) + ": " + error.what() +
                                           last_crash(broker));
        }
    }
    return contents;
}

}  // namespace exactness
