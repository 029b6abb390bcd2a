// A session with the plugin over any channel: hello, requests with ids and deadlines, notices,
// streams.
//
// This is the generic half of docs/protocol.md; it knows no operation by name but `ping`, which it
// answers by itself. Nothing runs in the background: whatever arrives is handled inside call(),
// next_request(), poll() and receive_stream(), on the caller's thread. Not thread-safe.
//
// A session whose other side breaks the protocol (a message that the protocol does not have, bytes
// that are no term, a frame over the cap, too many open requests) is over: the function that meets
// it throws Error (failed), and so does every later call, with the same Error.
#pragma once

#include "erlang_port/channel.hpp"
#include "erlang_port/error.hpp"

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace erlang {

// A request of the plugin, to be answered with reply() or reply_error().
struct Request {
    std::uint64_t id = 0;
    Clock::time_point deadline;
    std::string operation;
    Map arguments;
};

class Connection {
public:
    // Called for every notice of the plugin, whenever one arrives.
    using NoticeHandler = std::function<void(const std::string& topic, const Map& details)>;
    // Called often while waiting; throws to end the wait (an interrupt, a cancelled job).
    using Interrupt = std::function<void()>;

    explicit Connection(std::unique_ptr<Channel> channel);

    void on_notice(NoticeHandler handler);
    void on_interrupt(Interrupt interrupt);

    // Exchanges hellos (10 s). Returns the plugin's info map. Throws Error (unreachable) when none
    // comes, and naming both version lists on a mismatch.
    Map hello(Map info);

    // Asks and waits. Throws Error with the plugin's message and hint when it answers with an
    // error, Error (failed) when the deadline passes or the connection closes. Requests that arrive
    // meanwhile are kept for next_request().
    Map call(const std::string& operation, Map arguments, std::chrono::milliseconds timeout);

    void notify(const std::string& topic, Map details);

    // The next request of the plugin but for `ping` whose answer is still waited for; nothing when
    // the connection is closed: the normal end of a port program.
    std::optional<Request> next_request();
    void reply(const Request& request, Map result);
    // The code usage tells the plugin `unsupported`: answer so to an operation that is not known.
    void reply_error(const Request& request, const hot_backup::Error& error);

    // Handles what has arrived, without waiting. Throws Error (failed) when the connection is
    // closed.
    void poll();

    // The same for so long, interrupts included. A closed connection is the same Error.
    void idle(std::chrono::milliseconds time);

    // Receives a stream that a request has started: hands each payload to `consume` and
    // acknowledges it after that returns. Returns the map of stream_end once its `messages` and
    // `bytes` agree with what came. Throws the error of stream_abort, or Error (failed) when
    // nothing of the stream arrives for `stall`, or not in order. Call it right after the request:
    // what arrives of a stream at any other time is dropped.
    Map receive_stream(std::uint64_t stream, std::chrono::milliseconds stall,
                       const std::function<void(std::string_view payload)>& consume);

    // A stream number that this session has not used yet.
    std::uint64_t new_stream() { return ++last_stream_; }

private:
    using Wanted = std::function<bool(const Term& message)>;

    // The next wanted message; others are handled as they come.
    Channel::Received wait(Clock::time_point deadline, const Wanted& wanted);
    // Every message comes in through receive() and goes out through send().
    Channel::Received receive(Clock::time_point deadline);
    void send(const Term& message, Clock::time_point deadline);
    void throw_if_broken() const;
    void handle(const Term& message);
    void handle_request(const Term& message);
    void answer(std::uint64_t id, std::string_view outcome, Term result);
    static void check_stream_end(const Map& counts, std::uint64_t messages, std::uint64_t bytes);

    std::unique_ptr<Channel> channel_;
    NoticeHandler notice_handler_;
    Interrupt interrupt_;
    std::deque<Request> requests_;
    bool hello_expected_ = false;
    std::optional<hot_backup::Error> broken_;
    std::uint64_t last_id_ = 0;
    std::uint64_t last_stream_ = 0;
};

}  // namespace erlang
