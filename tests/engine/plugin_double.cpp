#include "tests/engine/plugin_double.hpp"

#include "erlang_port/error.hpp"
#include "erlang_port/external_term.hpp"

#include <algorithm>
#include <numeric>

namespace engine_test {

using erlang::atom;
using erlang::binary;
using erlang::integer;
using erlang::list;
using erlang::map;
using erlang::Term;
using erlang::tuple;

namespace {

Term empty_map() {
    return map({});
}

Term error_map(const std::string& code) {
    return map({{"code", atom(code)},
                {"message", binary("the double refuses")},
                {"hint", binary("Ask it nicely.")}});
}

Term description(const Behaviour& behaviour) {
    const auto plugin = map({{"name", binary("rabbitmq_hot_backup")}, {"version", binary("1")}});
    const auto file = map({{"role", binary(behaviour.role)},
                           {"path", binary("/etc/rabbitmq/rabbitmq.conf")},
                           {"content", binary("listeners.tcp.default = 5672\n")},
                           {"mode", integer(0640)},
                           {"mtime", behaviour.mtime}});
    const auto unreadable = map({{"role", binary("advanced.config")},
                                 {"path", binary("/etc/rabbitmq/advanced.config")},
                                 {"error", binary("permission denied")}});
    return map({{"plugins", list({plugin})},
                {"data_dir", binary("/var/lib/rabbitmq/mnesia/rabbit@double")},
                {"configuration", list({file, unreadable})}});
}

Term checkpoint(const Behaviour& behaviour) {
    return map({{"checkpoint", binary("hot_backup 1")},
                {"store", atom("mnesia")},
                {"tables", list({binary("rabbit_vhost"), binary("rabbit_user")})},
                {"skipped", list({map({{"table", binary("rabbit_node_maintenance_states")},
                                       {"reason", binary("bookkeeping")}})})},
                {"instant", behaviour.instant},
                {"activation_us", integer(900)}});
}

Term hello(const Term& versions) {
    return tuple({atom("hello"), versions,
                  map({{"plugin_version", binary("0.1.0")},
                       {"node", binary("rabbit@double")},
                       {"cluster", binary("rabbit@double")},
                       {"rabbitmq_version", binary("3.10.8")},
                       {"erlang_version", binary("25")},
                       {"metadata_store", atom("mnesia")}})});
}

Term vhost(const std::string& name) {
    return tuple({atom("rabbit_vhost"), binary(name), list({}), map({})});
}

// None in a payload that is wrong on purpose.
std::uint64_t count_items(const std::string& payload) {
    try {
        const auto term = erlang::decode_message(payload);
        const auto* items = term.as<erlang::List>();
        return items ? items->elements.size() : 0;
    } catch (const hot_backup::Error&) {
        return 0;
    }
}

}  // namespace

std::string payload_of(const std::vector<Term>& items) {
    std::string bytes;
    erlang::encode_message(list(items), bytes);
    return bytes;
}

std::vector<std::string> small_snapshot() {
    const auto user = tuple({atom("rabbit_user"), binary("guest"), binary("hash"), list({}),
                             atom("rabbit_password_hashing_sha256"), map({})});
    return {payload_of({tuple({atom("log_header"), atom("backup_log")})}),
            payload_of({tuple({atom("schema"), atom("rabbit_vhost"), list({})})}),
            payload_of({vhost("/"), vhost("gone"), vhost("second")}),
            payload_of({tuple({atom("rabbit_vhost"), binary("gone")})}), payload_of({user})};
}

PluginDouble::PluginDouble(Behaviour behaviour, std::shared_ptr<Record> record)
    : behaviour_(std::move(behaviour)), record_(std::move(record)) {}

void PluginDouble::send(const Term& message, erlang::Clock::time_point) {
    const auto number = ++record_->received;
    if (number == behaviour_.at_message && behaviour_.then) {
        behaviour_.then();
    }
    if (behaviour_.close_after != 0 && number >= behaviour_.close_after) {
        closed_ = true;
    }
    if (closed_) {
        throw hot_backup::Error(hot_backup::ErrorCode::failed, "the double closed the connection");
    }
    const auto& name = message.element(0)->as<erlang::Atom>()->name;
    if (name == "hello") {
        to_engine_.push_back(hello(behaviour_.version));
    } else if (name == "request") {
        answer(*message.element(1), message.element(3)->as<erlang::Atom>()->name,
               *message.element(4)->as<erlang::Map>());
    } else if (name == "ack") {
        unacknowledged_.pop_front();
    }
}

erlang::Channel::Received PluginDouble::receive(erlang::Clock::time_point) {
    if (closed_) {
        return {Received::What::closed, {}};
    }
    if (to_engine_.empty()) {
        return {Received::What::timeout, {}};
    }
    Received received{Received::What::message, std::move(to_engine_.front())};
    to_engine_.pop_front();
    if (received.message.element(0)->is_atom("data")) {
        unacknowledged_.push_back(received.message.element(3)->as<erlang::Binary>()->bytes.size());
        record_->highest_unacknowledged = std::max(
            record_->highest_unacknowledged,
            std::accumulate(unacknowledged_.begin(), unacknowledged_.end(), std::uint64_t{0}));
    }
    return received;
}

void PluginDouble::answer(const Term& id, const std::string& operation,
                          const erlang::Map& arguments) {
    record_->operations.push_back(operation);
    if (operation == behaviour_.refuse) {
        to_engine_.push_back(
            tuple({atom("reply"), id, atom("error"), error_map(behaviour_.refuse_code)}));
        return;
    }
    Term result = empty_map();
    if (operation == "job_begin") {
        result = map({{"job", integer(7)}});
    } else if (operation == "describe") {
        result = description(behaviour_);
    } else if (operation == "checkpoint_begin") {
        result = checkpoint(behaviour_);
    } else if (operation == "job_end") {
        record_->outcome = arguments.find("outcome")->as<erlang::Atom>()->name;
    }
    to_engine_.push_back(tuple({atom("reply"), id, atom("ok"), result}));
    if (operation == "checkpoint_stream") {
        queue_stream(*arguments.find("stream"));
    }
}

void PluginDouble::queue_stream(const Term& stream) {
    std::uint64_t bytes = 0;
    std::uint64_t items = 0;
    std::uint64_t sequence = 0;
    for (const auto& payload : behaviour_.payloads) {
        bytes += payload.size();
        items += count_items(payload);
        to_engine_.push_back(tuple({atom("data"), stream, integer(sequence++), binary(payload)}));
    }
    if (behaviour_.abort_stream) {
        to_engine_.push_back(tuple({atom("stream_abort"), stream, error_map("failed")}));
    } else {
        to_engine_.push_back(tuple({atom("stream_end"), stream,
                                    map({{"messages", integer(sequence)},
                                         {"bytes", integer(bytes)},
                                         {"items", integer(behaviour_.items.value_or(items))}})}));
    }
}

}  // namespace engine_test
