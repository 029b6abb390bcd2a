// Sessions with the plugin on all nodes of a sandbox.
#pragma once

#include "sidecar/engine/broker.hpp"
#include "sidecar/sandbox/sandbox.hpp"

#include <deque>
#include <functional>
#include <vector>

namespace hot_backup {

class SandboxBrokers {
public:
    // The sandbox outlives it. `interrupt` is called often while one of them is waited for; the
    // others are kept alive meanwhile.
    SandboxBrokers(const Sandbox& sandbox, const std::function<void()>& interrupt);

    Broker& first() { return brokers_.front(); }
    // In the order of the sandbox.
    std::vector<Broker*> all();

private:
    std::deque<Broker> brokers_;
};

}  // namespace hot_backup
