// Fills a broker with what a real one has: vhosts, users, permissions, policies, queues of all
// types, exchanges, bindings.
//
// The same size always gives the same topology. Names and arguments are chosen to be awkward:
// non-ASCII, quotes, slashes, nested tables, things that a backup must hold next to things that it
// must leave out (exclusive and transient ones).
#pragma once

#include "tests/harness/amqp_client.hpp"
#include "tests/harness/broker.hpp"

#include <cstddef>
#include <list>
#include <string>
#include <vector>

namespace tools {

struct TopologySize {
    std::size_t queues = 300;
    std::size_t bindings = 1500;  // besides the few of the fixed part
};

struct Topology {
    std::vector<std::string> vhosts;
    // Exclusive queues live as long as their connections.
    std::list<harness::AmqpClient> exclusive_owners;
};

Topology make_topology(harness::Broker& broker, const TopologySize& size = {});

}  // namespace tools
