#include "sidecar/sandbox/sandbox_brokers.hpp"

#include "erlang_port/node_channel.hpp"

#include <memory>

namespace hot_backup {

SandboxBrokers::SandboxBrokers(const Sandbox& sandbox, const std::function<void()>& interrupt) {
    for (std::size_t number = 0; number < sandbox.size(); ++number) {
        brokers_.emplace_back(std::make_unique<erlang::NodeChannel>(sandbox.connection(number)),
                              interrupt);
    }
    for (auto& broker : brokers_) {
        broker.on_wait([this, &broker] {
            for (auto& other : brokers_) {
                if (&other != &broker) {
                    other.keep_alive();
                }
            }
        });
    }
}

std::vector<Broker*> SandboxBrokers::all() {
    std::vector<Broker*> brokers;
    for (auto& broker : brokers_) {
        brokers.push_back(&broker);
    }
    return brokers;
}

}  // namespace hot_backup
