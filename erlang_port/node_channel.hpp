// The channel of the command line: a hidden C node that attaches to the plugin's session.
#pragma once

#include "erlang_port/channel.hpp"
#include "erlang_port/node_connection.hpp"

namespace erlang {

class NodeChannel final : public Channel {
public:
    // Connects and attaches. Throws Error (unreachable) as NodeConnection does, when the plugin is
    // not enabled, and with the plugin's own words when it does not take the session.
    explicit NodeChannel(const NodeOptions& options);

    const std::string& node() const noexcept { return connection_.node(); }

    void send(const Term& message, Clock::time_point deadline) override;
    // A session that ends while the node lives disconnects us: `closed`.
    Received receive(Clock::time_point deadline) override;

private:
    NodeConnection connection_;
    Term session_;
};

}  // namespace erlang
