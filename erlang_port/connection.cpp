#include "erlang_port/connection.hpp"

#include "erlang_port/plugin_error.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace erlang {
namespace {

using hot_backup::Error;
using hot_backup::ErrorCode;
using namespace std::chrono_literals;
using What = Channel::Received::What;

// The protocol versions that this program knows, highest first.
constexpr std::array<std::uint64_t, 1> known_versions{1};

constexpr auto hello_timeout = 10s;
// How long a message that is not tied to a deadline of the caller may take to be sent.
constexpr auto send_timeout = 30s;
// How often a wait looks at the interrupt when no signal ends it early.
constexpr auto interrupt_interval = 100ms;

// How many requests of the plugin may be open, as many as the plugin takes from us.
constexpr std::size_t max_open_requests = 64;

// A request's deadline is cut to this, so that no number overflows the clock.
constexpr std::uint64_t longest_patience = std::chrono::milliseconds(24h).count();

constexpr const char* broker_hint = "Look at the load and the log of the broker.";
constexpr const char* release_hint =
    "Check that the plugin and this program come from the same release.";

[[noreturn]] void unexpected(const Term& message) {
    throw Error(ErrorCode::failed,
                "the plugin sent a message that the protocol does not have: " + to_string(message),
                release_hint);
}

[[noreturn]] void connection_closed() {
    throw Error(ErrorCode::failed, "the broker closed the connection",
                "It may have stopped, or the plugin was disabled: look into its log.");
}

std::string seconds(std::chrono::milliseconds time) {
    return time % 1s == 0ms ? std::to_string(time / 1s) + " s"
                            : std::to_string(time.count()) + " ms";
}

// Typed access to the elements of a message; an element of another type is an unexpected message.
class Message {
public:
    explicit Message(const Term& term) : term_(term) {}

    std::size_t size() const noexcept {
        const auto* tuple = term_.as<Tuple>();
        return tuple ? tuple->elements.size() : 0;
    }
    bool is(std::string_view tag, std::size_t size_wanted) const noexcept {
        const auto* first = term_.element(0);
        return size() == size_wanted && first != nullptr && first->is_atom(tag);
    }
    template <class T>
    const T& get(std::size_t n) const {
        const auto* element = term_.element(n);
        const auto* value = element ? element->as<T>() : nullptr;
        if (!value) {
            unexpected(term_);
        }
        return *value;
    }
    std::uint64_t number(std::size_t n) const {
        const auto* element = term_.element(n);
        const auto value = element ? element->as_unsigned() : std::nullopt;
        if (!value) {
            unexpected(term_);
        }
        return *value;
    }

private:
    const Term& term_;
};

std::vector<std::uint64_t> versions_of(const Term& hello) {
    std::vector<std::uint64_t> versions;
    for (const auto& element : Message(hello).get<List>(1).elements) {
        const auto version = element.as_unsigned();
        if (!version) {
            unexpected(hello);
        }
        versions.push_back(*version);
    }
    return versions;
}

// Throws when the message is none of the grammar that the plugin may send, or when the hello is
// not the first one.
void check_grammar(const Term& term, bool hello_expected) {
    const Message message(term);
    if (message.is("hello", 3) != hello_expected) {
        unexpected(term);
    }
    if (message.is("hello", 3)) {
        versions_of(term);
        message.get<Map>(2);
    } else if (message.is("request", 5)) {
        message.number(1);
        message.number(2);
        message.get<Atom>(3);
        message.get<Map>(4);
    } else if (message.is("reply", 4)) {
        message.number(1);
        const auto& outcome = message.get<Atom>(2).name;
        if (outcome != "ok" && outcome != "error") {
            unexpected(term);
        }
        message.get<Map>(3);
    } else if (message.is("notice", 3)) {
        message.get<Atom>(1);
        message.get<Map>(2);
    } else if (message.is("data", 4)) {
        message.number(1);
        message.number(2);
        message.get<Binary>(3);
    } else if (message.is("stream_end", 3) || message.is("stream_abort", 3)) {
        message.number(1);
        message.get<Map>(2);
    } else {
        unexpected(term);
    }
}

template <class Versions>
std::string join(const Versions& versions) {
    std::string text;
    for (const auto version : versions) {
        text += (text.empty() ? "" : ", ") + std::to_string(version);
    }
    return text.empty() ? "none" : text;
}

void check_versions(const std::vector<std::uint64_t>& theirs) {
    if (std::find_first_of(theirs.begin(), theirs.end(), known_versions.begin(),
                           known_versions.end()) != theirs.end()) {
        return;
    }
    const bool they_are_newer =
        !theirs.empty() && *std::max_element(theirs.begin(), theirs.end()) > known_versions.front();
    throw Error(
        ErrorCode::unreachable,
        "the plugin and this program have no protocol version in common: the plugin knows " +
            join(theirs) + ", this program knows " + join(known_versions),
        they_are_newer ? "Upgrade this program (rabbitmq-hot-backup) to the plugin's release."
                       : "Upgrade the plugin rabbitmq_hot_backup to this program's release.");
}

}  // namespace

Connection::Connection(std::unique_ptr<Channel> channel) : channel_(std::move(channel)) {}

void Connection::on_notice(NoticeHandler handler) {
    notice_handler_ = std::move(handler);
}

void Connection::on_interrupt(Interrupt interrupt) {
    interrupt_ = std::move(interrupt);
}

Map Connection::hello(Map info) {
    const auto deadline = Clock::now() + hello_timeout;
    std::vector<Term> versions(known_versions.size());
    std::transform(known_versions.begin(), known_versions.end(), versions.begin(), integer);
    send(tuple({atom("hello"), list(std::move(versions)), std::move(info)}), deadline);
    hello_expected_ = true;
    const auto received = wait(deadline, [](const Term&) { return true; });
    if (received.what == What::timeout) {
        throw Error(ErrorCode::unreachable,
                    "the plugin did not say hello within " + seconds(hello_timeout), broker_hint);
    }
    if (received.what == What::closed) {
        throw Error(ErrorCode::unreachable, "the broker closed the connection before its hello",
                    "Look into the log of the broker.");
    }
    check_versions(versions_of(received.message));
    return Message(received.message).get<Map>(2);
}

Map Connection::call(const std::string& operation, Map arguments,
                     std::chrono::milliseconds timeout) {
    const auto deadline = Clock::now() + timeout;
    const auto id = ++last_id_;
    send(tuple({atom("request"), integer(id), integer(static_cast<std::uint64_t>(timeout.count())),
                atom(operation), std::move(arguments)}),
         deadline);
    const auto received = wait(deadline, [id](const Term& term) {
        return Message(term).is("reply", 4) && Message(term).number(1) == id;
    });
    if (received.what == What::timeout) {
        throw Error(ErrorCode::failed,
                    "the plugin did not answer " + operation + " within " + seconds(timeout),
                    broker_hint);
    }
    if (received.what == What::closed) {
        connection_closed();
    }
    const Message reply(received.message);
    if (reply.get<Atom>(2).name == "error") {
        throw plugin_error(reply.get<Map>(3));
    }
    return reply.get<Map>(3);
}

void Connection::notify(const std::string& topic, Map details) {
    send(tuple({atom("notice"), atom(topic), std::move(details)}), Clock::now() + send_timeout);
}

std::optional<Request> Connection::next_request() {
    throw_if_broken();
    while (true) {
        while (!requests_.empty()) {
            auto request = std::move(requests_.front());
            requests_.pop_front();
            if (Clock::now() < request.deadline) {
                return request;
            }
        }
        const auto received = wait(Clock::time_point::max(), [](const Term&) { return true; });
        if (received.what == What::closed) {
            return std::nullopt;
        }
        handle(received.message);
    }
}

void Connection::reply(const Request& request, Map result) {
    answer(request.id, "ok", std::move(result));
}

void Connection::reply_error(const Request& request, const Error& error) {
    answer(request.id, "error", error_for_plugin(error));
}

void Connection::answer(std::uint64_t id, std::string_view outcome, Term result) {
    send(tuple({atom("reply"), integer(id), atom(outcome), std::move(result)}),
         Clock::now() + send_timeout);
}

void Connection::poll() {
    while (true) {
        const auto received = receive(Clock::now());
        if (received.what == What::timeout) {
            return;
        }
        if (received.what == What::closed) {
            connection_closed();
        }
        handle(received.message);
    }
}

void Connection::idle(std::chrono::milliseconds time) {
    const auto received = wait(Clock::now() + time, [](const Term&) { return false; });
    if (received.what == What::closed) {
        connection_closed();
    }
}

Map Connection::receive_stream(std::uint64_t stream, std::chrono::milliseconds stall,
                               const std::function<void(std::string_view payload)>& consume) {
    std::uint64_t messages = 0;
    std::uint64_t bytes = 0;
    while (true) {
        const auto received = wait(Clock::now() + stall, [stream](const Term& term) {
            const Message message(term);
            return (message.is("data", 4) || message.is("stream_end", 3) ||
                    message.is("stream_abort", 3)) &&
                   message.number(1) == stream;
        });
        if (received.what == What::timeout) {
            throw Error(
                ErrorCode::failed,
                "the plugin sent nothing for " + seconds(stall) + " in the middle of a stream",
                broker_hint);
        }
        if (received.what == What::closed) {
            connection_closed();
        }
        const Message message(received.message);
        if (message.is("stream_abort", 3)) {
            throw plugin_error(message.get<Map>(2));
        }
        if (message.is("stream_end", 3)) {
            check_stream_end(message.get<Map>(2), messages, bytes);
            return message.get<Map>(2);
        }
        const auto sequence = message.number(2);
        if (sequence != messages) {
            throw Error(ErrorCode::failed,
                        "a stream of the plugin has a gap: message " + std::to_string(sequence) +
                            " came in place of " + std::to_string(messages),
                        release_hint);
        }
        const auto& payload = message.get<Binary>(3).bytes;
        consume(payload);
        ++messages;
        bytes += payload.size();
        send(tuple({atom("ack"), integer(stream), integer(sequence)}), Clock::now() + send_timeout);
    }
}

void Connection::check_stream_end(const Map& counts, std::uint64_t messages, std::uint64_t bytes) {
    const auto compare = [&counts](std::string_view key, std::uint64_t ours) {
        const auto* found = counts.find(key);
        const auto theirs = found ? found->as_unsigned() : std::nullopt;
        if (theirs != ours) {
            throw Error(ErrorCode::failed,
                        "a stream of the plugin is incomplete: " + std::to_string(ours) + " " +
                            std::string(key) + " came of " +
                            (theirs ? std::to_string(*theirs) : "unknown"),
                        release_hint);
        }
    };
    compare("messages", messages);
    compare("bytes", bytes);
}

Channel::Received Connection::wait(Clock::time_point deadline, const Wanted& wanted) {
    while (true) {
        if (interrupt_) {
            interrupt_();
        }
        const auto now = Clock::now();
        auto received = receive(std::min(deadline, now + interrupt_interval));
        if (received.what == What::closed ||
            (received.what == What::message && wanted(received.message))) {
            return received;
        }
        if (received.what == What::message) {
            handle(received.message);
        }
        // What is not wanted does not prolong the wait, however much comes.
        if (now >= deadline) {
            return {};
        }
    }
}

Channel::Received Connection::receive(Clock::time_point deadline) {
    throw_if_broken();
    try {
        auto received = channel_->receive(deadline);
        if (received.what == What::message) {
            check_grammar(received.message, std::exchange(hello_expected_, false));
        }
        return received;
    } catch (const Error& error) {
        broken_ = error;
        throw;
    }
}

void Connection::send(const Term& message, Clock::time_point deadline) {
    throw_if_broken();
    channel_->send(message, deadline);
}

void Connection::throw_if_broken() const {
    if (broken_) {
        throw Error(*broken_);
    }
}

void Connection::handle(const Term& term) {
    const Message message(term);
    if (message.is("request", 5)) {
        handle_request(term);
    } else if (message.is("notice", 3)) {
        if (notice_handler_) {
            notice_handler_(message.get<Atom>(1).name, message.get<Map>(2));
        }
    }
    // What is left belongs to a call that has timed out or a stream that was given up.
}

void Connection::handle_request(const Term& term) {
    const Message message(term);
    const std::chrono::milliseconds patience(std::min(message.number(2), longest_patience));
    Request request{message.number(1), Clock::now() + patience, message.get<Atom>(3).name,
                    message.get<Map>(4)};
    if (request.operation == "ping") {
        reply(request, {});
        return;
    }
    if (requests_.size() == max_open_requests) {
        broken_.emplace(
            ErrorCode::failed,
            "the plugin has more than " + std::to_string(max_open_requests) + " requests open",
            release_hint);
        throw_if_broken();
    }
    requests_.push_back(std::move(request));
}

}  // namespace erlang
