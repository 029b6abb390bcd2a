// Erlang's port mapper: which TCP port a node of a host listens on.
#pragma once

#include "erlang_port/channel.hpp"

#include <netinet/in.h>

#include <cstdint>
#include <functional>
#include <string>

namespace erlang {

// Where a node listens for others.
struct Endpoint {
    in_addr address{};
    std::uint16_t port = 0;
};

// The host's IPv4 address (libei knows no other). Throws Error (unreachable) when there is none.
in_addr resolve_host(const std::string& host);

// Asks the epmd of `host`, on the port that ERL_EPMD_PORT names (4369 without it), for the node
// `name` (the part before the @). Throws Error (unreachable): epmd does not run or does not answer,
// or it knows no such node, and then tells which nodes it knows. Calls `interrupt` often while it
// waits, which throws to end the wait.
std::uint16_t epmd_port_of(const std::string& name, const std::string& host, in_addr address,
                           Clock::time_point deadline, const std::function<void()>& interrupt = {});

}  // namespace erlang
