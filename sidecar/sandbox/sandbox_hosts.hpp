// The hosts of a sandbox's nodes, which exist in it only.
//
// Nodes of one cluster may have one name before the @, and an epmd takes each such name once: so
// there is one epmd for each host. All of them, and all nodes, listen on 127.0.0.1, on ports of
// their own. The address of a host is a name for it that a connection can be made to
// (loopback.cpp).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hot_backup {

struct SandboxHost {
    std::string name;        // behind the @ of its nodes' names
    std::string address;     // 127.0.0.2, ...; the name where that is an address itself
    std::uint16_t epmd = 0;  // the port of its epmd on 127.0.0.1
};

// "broker-1" of "rabbit@broker-1".
std::string_view host_of(std::string_view node);

// One for each host of the nodes, in their order; `epmd` is yet to be chosen.
std::vector<SandboxHost> hosts_of(const std::vector<std::string>& nodes);
// Of a node.
const SandboxHost& host_for(const std::vector<SandboxHost>& hosts, std::string_view node);

// Erlang's resolver in a file: these hosts have their addresses, this machine is 127.0.0.1, and
// there are no others, so no other node is found.
std::string inetrc(const std::vector<SandboxHost>& hosts);

// For the preloaded library (loopback.cpp).
std::string host_variable(const std::vector<SandboxHost>& hosts);

}  // namespace hot_backup
