// The name server of Erlang nodes. It knows a name once, so a node and its booted image need two.
#pragma once

#include "tests/harness/port.hpp"
#include "tests/harness/process.hpp"

#include <memory>
#include <string>

namespace harness {

class Epmd {
public:
    Epmd();

    std::string port() const { return std::to_string(port_.number()); }
    // Connections of this process find their epmd by the environment.
    void select() const;

private:
    Port port_;
    Process process_;
};

// That of the brokers that need none of their own.
std::shared_ptr<const Epmd> shared_epmd();

}  // namespace harness
