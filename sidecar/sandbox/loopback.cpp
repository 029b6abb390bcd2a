// The other half of the library that is preloaded into a sandbox broker (clock.cpp is the first):
// its connections stay on this machine, and within the sandbox.
//
// What would listen on all interfaces listens on the loopback interface: RabbitMQ tries in this way
// whether the port for other nodes can be had, for a moment.
//
// All nodes of a sandbox listen on 127.0.0.1, each on ports of its own. Each host of theirs has an
// address that only stands for it: one of the loopback network to which Erlang is told to resolve
// the host's name (inetrc), or the one that a node's name has in the place of a host name, which no
// resolver can be told to take for another. What is connected to there is connected to at
// 127.0.0.1, and where it is the port of epmd, to the epmd of that host. HOT_BACKUP_HOSTS has the
// addresses and the ports of their epmds: "127.0.0.2=20001,127.0.0.3=20002".
//
// At every other address epmd is this node's own: RabbitMQ asks the epmd of its node's own host.
// Every other connection that leaves the loopback interface is refused, for the case that something
// in the broker tries.
//
// Only where ERL_EPMD_PORT is set, as it is in a sandbox.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace {

int real_connect(int socket, const sockaddr* address, socklen_t size) {
    return static_cast<int>(::syscall(SYS_connect, socket, address, size));
}

int real_bind(int socket, const sockaddr* address, socklen_t size) {
    return static_cast<int>(::syscall(SYS_bind, socket, address, size));
}

const int epmd_port = [] {
    const char* text = std::getenv("ERL_EPMD_PORT");
    return text != nullptr ? std::atoi(text) : 0;
}();

// As an address of IPv4.
bool is_loopback(std::uint32_t address) {
    return address >> 24 == 127;
}

bool is_loopback(const in6_addr& address) {
    std::uint32_t last = 0;
    std::memcpy(&last, address.s6_addr + 12, sizeof last);
    return IN6_IS_ADDR_LOOPBACK(&address) ||
           (IN6_IS_ADDR_V4MAPPED(&address) && is_loopback(ntohl(last)));
}

// The port of the epmd of the host that an address stands for; 0 where it stands for none.
int epmd_of_host(const in_addr& address) {
    char text[INET_ADDRSTRLEN];
    const char* hosts = std::getenv("HOT_BACKUP_HOSTS");
    if (hosts == nullptr || ::inet_ntop(AF_INET, &address, text, sizeof text) == nullptr) {
        return 0;
    }
    const auto length = std::strlen(text);
    for (const char* host = hosts; host != nullptr; host = std::strchr(host, ',')) {
        host += *host == ',' ? 1 : 0;
        if (std::strncmp(host, text, length) == 0 && host[length] == '=') {
            return std::atoi(host + length + 1);
        }
    }
    return 0;
}

int refuse() {
    errno = ENETUNREACH;
    return -1;
}

}  // namespace

extern "C" int bind(int socket, const sockaddr* address, socklen_t size) noexcept {
    sockaddr_in to{};
    if (epmd_port != 0 && address != nullptr && address->sa_family == AF_INET &&
        size >= sizeof to) {
        std::memcpy(&to, address, sizeof to);
        if (to.sin_addr.s_addr == htonl(INADDR_ANY)) {
            to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        }
        return real_bind(socket, reinterpret_cast<const sockaddr*>(&to), sizeof to);
    }
    return real_bind(socket, address, size);
}

extern "C" int connect(int socket, const sockaddr* address, socklen_t size) {
    if (epmd_port == 0 || address == nullptr) {
        return real_connect(socket, address, size);
    }
    if (address->sa_family == AF_INET && size >= sizeof(sockaddr_in)) {
        sockaddr_in to{};
        std::memcpy(&to, address, sizeof to);
        const bool is_epmd = ntohs(to.sin_port) == epmd_port;
        const int epmd = epmd_of_host(to.sin_addr);
        if (epmd != 0 && is_epmd) {
            to.sin_port = htons(static_cast<std::uint16_t>(epmd));
        }
        if (epmd != 0 || is_epmd) {
            to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        } else if (!is_loopback(ntohl(to.sin_addr.s_addr))) {
            return refuse();
        }
        return real_connect(socket, reinterpret_cast<const sockaddr*>(&to), sizeof to);
    }
    if (address->sa_family == AF_INET6 && size >= sizeof(sockaddr_in6)) {
        sockaddr_in6 to{};
        std::memcpy(&to, address, sizeof to);
        if (!is_loopback(to.sin6_addr)) {
            return refuse();
        }
    }
    return real_connect(socket, address, size);
}
