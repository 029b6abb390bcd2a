// The name server of Erlang nodes. It knows a name once, so a node and its booted image need two.
#pragma once

#include "tests/harness/network.hpp"
#include "tests/harness/port.hpp"
#include "tests/harness/process.hpp"

#include <memory>
#include <optional>
#include <string>

namespace harness {

class Epmd {
public:
    Epmd();
    // In a host of a network, for its other hosts too: on the same port in each of them, for nodes
    // ask for each other there.
    explicit Epmd(const NetworkHost& host);

    std::string port() const { return port_; }
    // Connections of this process find their epmd by the environment.
    void select() const;

private:
    std::optional<Port> claim_;
    std::string port_;
    Process process_;
};

// That of the brokers that need none of their own.
std::shared_ptr<const Epmd> shared_epmd();

}  // namespace harness
