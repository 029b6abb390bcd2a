#include "sidecar/sandbox/free_port.hpp"

#include "erlang_port/error.hpp"
#include "sidecar/repository/descriptor.hpp"

#include <netinet/in.h>
#include <sys/socket.h>

#include <random>
#include <string>

namespace hot_backup {
namespace {

// Above the ports of services, below the usual start of net.ipv4.ip_local_port_range (32768).
constexpr std::uint16_t first_port = 20'000;
constexpr std::uint16_t last_port = 32'000;

bool is_free(std::uint16_t port) {
    const Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int yes = 1;
    ::setsockopt(socket.number(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    // NOLINTNEXTLINE: this cast is how the socket interface is meant to be used.
    const auto* any = reinterpret_cast<const sockaddr*>(&address);
    return ::bind(socket.number(), any, sizeof address) == 0 && ::listen(socket.number(), 1) == 0;
}

}  // namespace

std::uint16_t free_loopback_port() {
    constexpr int attempts = 200;
    std::random_device random;
    std::uniform_int_distribution<unsigned> any(first_port, last_port);
    for (int n = 0; n < attempts; ++n) {
        const auto port = static_cast<std::uint16_t>(any(random));
        if (is_free(port)) {
            return port;
        }
    }
    throw Error(ErrorCode::failed,
                "no free TCP port on the loopback interface between " + std::to_string(first_port) +
                    " and " + std::to_string(last_port),
                "Check that the loopback interface (lo) is up.");
}

}  // namespace hot_backup
