// A channel carries Erlang terms to and from the broker: docs/protocol.md, "Carriers".
//
// Two implementations: StdioChannel (the broker started us as a port) and NodeChannel (we attached
// to the node as a hidden C node). One thread uses a channel at a time. A channel throws
// hot_backup::Error when the bytes it reads are not a term, too long, or end inside a message.
#pragma once

#include "erlang_port/term.hpp"

#include <chrono>
#include <optional>

namespace erlang {

using Clock = std::chrono::steady_clock;

class Channel {
public:
    struct Received {
        enum class What { message, timeout, closed };
        What what = What::timeout;
        Term message;  // when what == message
    };

    Channel() = default;
    Channel(const Channel&) = delete;
    Channel& operator=(const Channel&) = delete;
    virtual ~Channel() = default;

    // Sends one message; blocks while the other side does not read, at the longest until
    // `deadline` (then throws Error failed).
    // Throws Error (failed, "... closed the connection") when the other side is gone.
    virtual void send(const Term& message, Clock::time_point deadline) = 0;

    // The next message; `timeout` once the deadline has passed; `closed` when the other side is
    // gone, now and ever after. A deadline in the past polls. Returns early with `timeout` when a
    // signal handler ran (EINTR), so that the caller can look at its flags.
    virtual Received receive(Clock::time_point deadline) = 0;
};

}  // namespace erlang
