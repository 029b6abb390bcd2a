#include "tests/harness/port.hpp"

#include "erlang_port/error.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cstddef>
#include <cstring>
#include <string>

namespace harness {
namespace {

// Below the usual start of the kernel's ephemeral range (32768) and above the ports of well-known
// services.
constexpr unsigned first_port = 21000;
constexpr unsigned port_count = 10000;

// A descriptor that holds the claim, or -1 when another process has it.
int claim(unsigned port) {
    const int socket_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (socket_fd < 0) {
        return -1;
    }
    const std::string name = "rabbitmq-hot-backup-test-port-" + std::to_string(port);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path + 1, name.data(), name.size());  // byte 0 stays zero: abstract
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
    if (bind(socket_fd, reinterpret_cast<const sockaddr*>(&address), length) != 0) {
        close(socket_fd);
        return -1;
    }
    return socket_fd;
}

sockaddr_in loopback(unsigned port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

bool nobody_listens(unsigned port) {
    const int socket_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int yes = 1;
    setsockopt(socket_fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    const sockaddr_in address = loopback(port);
    const bool bound =
        bind(socket_fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    close(socket_fd);
    return bound;
}

}  // namespace

Port::Port() {
    // Processes start looking at different places, so that they rarely meet.
    const auto start = static_cast<unsigned>(getpid()) * 37;
    for (unsigned n = 0; n < port_count; ++n) {
        const unsigned port = first_port + (start + n) % port_count;
        claim_ = claim(port);
        if (claim_ < 0) {
            continue;
        }
        if (nobody_listens(port)) {
            number_ = static_cast<std::uint16_t>(port);
            return;
        }
        close(claim_);
    }
    throw hot_backup::Error(hot_backup::ErrorCode::failed, "no free port for a test");
}

Port::~Port() {
    close(claim_);
}

bool accepts_connections(std::uint16_t port) {
    const int socket_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in address = loopback(port);
    const bool connected =
        connect(socket_fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    close(socket_fd);
    return connected;
}

}  // namespace harness
