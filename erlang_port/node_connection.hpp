// A connection to a running Erlang node as a hidden C node.
//
// libei does what only it knows: the handshake with the cookie. After that the connection carries
// frames, and they go through the same framing and the same checks as everything else: what the
// node sends is bounds-checked before anything reads it.
//
// One thread uses a connection. The node takes a connection for dead that is silent for about
// 45 s: receive() answers its ticks, so somebody calls it, or sends, more often than that.
#pragma once

#include "erlang_port/channel.hpp"
#include "erlang_port/epmd.hpp"
#include "erlang_port/frame.hpp"

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace erlang {

struct NodeOptions {
    std::string node;  // `rabbit@broker-1`; without @ a node of this host
    std::string cookie;
    bool long_names = false;  // the cluster's nodes have host names with dots
    // Where the node listens for other nodes on 127.0.0.1. None: its host's name and epmd tell.
    std::optional<std::uint16_t> loopback_port = {};
    // To connect, and for each step after it. How long a name server may take is not bounded by it.
    std::chrono::milliseconds timeout{10'000};
    // Called often while connecting and while waiting for answers of rpc() and call(), as long as
    // the connection lives; throws to end the wait. libei's handshake and the name server are not
    // interrupted: it is called right after them.
    std::function<void()> interrupt = {};
};

class NodeConnection {
public:
    // Throws Error (unreachable) that tells apart: the host is unknown, its epmd does not answer,
    // the node is not running, it does not answer, it refuses us (the cookie).
    explicit NodeConnection(const NodeOptions& options);

    // The node's full name, as asked for.
    const std::string& node() const noexcept { return node_; }
    // Our own pid.
    const Term& self() const noexcept { return self_; }

    // Evaluates a function in the node. rpc() gives what Erlang's rpc:call/5 gives; call() throws
    // Error (failed) for {badrpc, Reason}. Both throw Error (unreachable) when no answer comes, or
    // more than `max_early` other messages before it.
    Term rpc(const std::string& module, const std::string& function, std::vector<Term> arguments,
             std::chrono::milliseconds timeout);
    Term call(const std::string& module, const std::string& function, std::vector<Term> arguments,
              std::chrono::milliseconds timeout);

    void send(const Term& pid, const Term& message, Clock::time_point deadline);

    // The next message to us; as Channel::receive(). `closed` also when a process of the node sends
    // us an exit signal. What is sent to a name is not for us, who have only a pid: it is dropped.
    Channel::Received receive(Clock::time_point deadline);

private:
    // libei knows the descriptor too, so it has to close it.
    struct Socket {
        int fd = -1;
        ~Socket();
    };

    void connect(const NodeOptions& options, bool long_names, Endpoint endpoint,
                 Clock::time_point deadline);
    void send_control(const Term& control, const Term& message, Clock::time_point deadline);
    std::optional<Channel::Received> read_frame(std::string_view frame);
    Channel::Received receive_from_node(Clock::time_point deadline);
    void keep(Term message);
    void look_for_interrupt() const;

    static constexpr std::size_t max_early = 64;

    std::string node_;
    std::function<void()> interrupt_;
    Socket socket_;
    Term self_;
    std::optional<Frames> frames_;
    std::deque<Term> early_;  // messages that came while rpc() waited for its answer
    std::uint64_t last_call_ = 0;
    bool closed_ = false;
};

}  // namespace erlang
