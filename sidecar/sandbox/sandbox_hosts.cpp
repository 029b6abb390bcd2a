#include "sidecar/sandbox/sandbox_hosts.hpp"

#include "sidecar/repository/process_identity.hpp"
#include "sidecar/restore/erlang_text.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace hot_backup {
namespace {

constexpr const char* loopback = "127.0.0.1";
constexpr std::size_t first_host = 2;  // 127.0.0.1 is this machine

bool is_address(std::string_view host) {
    return host.find_first_not_of("0123456789.") == std::string_view::npos;
}

std::string as_tuple(std::string address) {
    std::replace(address.begin(), address.end(), '.', ',');
    return '{' + address + '}';
}

// One that no node has in its name and no other host.
std::string free_address(const std::vector<SandboxHost>& hosts,
                         const std::vector<std::string>& nodes) {
    for (auto number = first_host;; ++number) {
        auto address = "127.0.0." + std::to_string(number);
        const bool taken =
            std::ranges::find(hosts, address, &SandboxHost::address) != hosts.end() ||
            std::ranges::any_of(nodes, [&](const auto& node) { return host_of(node) == address; });
        if (!taken) {
            return address;
        }
    }
}

}  // namespace

std::string_view host_of(std::string_view node) {
    return node.substr(node.find('@') + 1);
}

std::vector<SandboxHost> hosts_of(const std::vector<std::string>& nodes) {
    std::vector<SandboxHost> hosts;
    for (const auto& node : nodes) {
        const std::string name(host_of(node));
        if (std::ranges::find(hosts, name, &SandboxHost::name) != hosts.end()) {
            continue;
        }
        // Erlang itself takes "localhost" for 127.0.0.1.
        const auto address = is_address(name)      ? name
                             : name == "localhost" ? std::string(loopback)
                                                   : free_address(hosts, nodes);
        hosts.push_back({name, address});
    }
    return hosts;
}

const SandboxHost& host_for(const std::vector<SandboxHost>& hosts, std::string_view node) {
    return *std::ranges::find(hosts, host_of(node), &SandboxHost::name);
}

std::string inetrc(const std::vector<SandboxHost>& hosts) {
    std::map<std::string, std::vector<std::string>> names{{loopback, {"localhost"}}};
    std::set<std::string> known{"localhost"};
    const auto add = [&](const std::string& address, const std::string& name) {
        // An address is no name, and nobody resolves it.
        if (!is_address(name) && known.insert(name).second) {
            names[address].push_back(name);
        }
    };
    const auto own = this_process().host;
    for (const auto& host : hosts) {
        add(host.address, host.name);
    }
    add(loopback, own);
    for (const auto& host : hosts) {
        add(host.address, host.name.substr(0, host.name.find('.')));
    }
    add(loopback, own.substr(0, own.find('.')));

    std::string text =
        "{resolv_conf, \"\"}.\n"
        "{hosts_file, \"\"}.\n"
        "{lookup, [file]}.\n";
    for (const auto& [address, its_names] : names) {
        std::string list;
        for (const auto& name : its_names) {
            list += (list.empty() ? "" : ", ") + to_erlang_text(name);
        }
        text += "{host, " + as_tuple(address) + ", [" + list + "]}.\n";
    }
    return text;
}

std::string host_variable(const std::vector<SandboxHost>& hosts) {
    std::string text;
    for (const auto& host : hosts) {
        text += (text.empty() ? "" : ",") + host.address + '=' + std::to_string(host.epmd);
    }
    return text;
}

}  // namespace hot_backup
