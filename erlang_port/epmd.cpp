// The protocol: Erlang's "Distribution Protocol" document, section EPMD. A request is
// `Length:16 Bytes`; the answer ends where epmd closes the connection.
#include "erlang_port/epmd.hpp"

#include "erlang_port/error.hpp"
#include "erlang_port/external_bytes.hpp"
#include "erlang_port/name_services.hpp"

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace erlang {
namespace {

using hot_backup::Error;
using hot_backup::ErrorCode;

constexpr char port_request = 122;
constexpr char port_response = 119;
constexpr char names_request = 110;
constexpr std::size_t port_response_length = 4;  // as far as it interests us
constexpr std::size_t longest_answer = 1UL << 20;
constexpr std::chrono::milliseconds interrupt_interval(100);

std::uint16_t epmd_port() {
    std::uint16_t port = 4369;
    if (const char* variable = std::getenv("ERL_EPMD_PORT")) {
        std::from_chars(variable, variable + std::strlen(variable), port);
    }
    return port;
}

[[noreturn]] void fail(const std::string& host, const std::string& cause) {
    throw Error(ErrorCode::unreachable,
                "cannot ask the Erlang port mapper (epmd) of " + host + " on port " +
                    std::to_string(epmd_port()) + ": " + cause,
                "Check that the broker runs on that host, that its epmd port can be reached, and "
                "that ERL_EPMD_PORT is set here if it is set for the broker.");
}

class Socket {
public:
    Socket() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
        if (fd_ < 0) {
            throw Error(ErrorCode::failed,
                        std::string("cannot make a socket: ") + std::strerror(errno),
                        "Check the limit of open files (`ulimit -n`) and the memory of this "
                        "system.");
        }
    }
    ~Socket() { ::close(fd_); }
    Socket(const Socket&) = delete;
    Socket& operator=(const Socket&) = delete;
    int fd() const noexcept { return fd_; }

private:
    int fd_;
};

// How long a question may take, and what looks in between whether it is still wanted.
struct Patience {
    Clock::time_point deadline;
    const std::function<void()>& interrupt;
};

// Waits for an event or throws; returns the error that is pending on the socket.
int wait_for(int fd, short events, const std::string& host, const Patience& patience) {
    pollfd polled{fd, events, 0};
    int count = 0;
    while (count == 0) {
        if (patience.interrupt) {
            patience.interrupt();
        }
        const auto now = Clock::now();
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(patience.deadline - now);
        const auto slice = std::clamp(left, std::chrono::milliseconds(0), interrupt_interval);
        count = ::poll(&polled, 1, static_cast<int>(slice.count()));
        if (count < 0 && errno == EINTR) {
            count = 0;
        } else if (count < 0) {
            fail(host, std::strerror(errno));
        }
        if (count == 0 && now >= patience.deadline) {
            fail(host, "it does not answer");
        }
    }
    int error = 0;
    socklen_t length = sizeof error;
    ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
    return error;
}

std::string ask(const std::string& request, const std::string& host, in_addr address,
                const Patience& patience) {
    const Socket socket;
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(epmd_port());
    to.sin_addr = address;
    // NOLINTNEXTLINE: this cast is how the socket interface is meant to be used.
    int error =
        ::connect(socket.fd(), reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0 ? 0 : errno;
    if (error == EINPROGRESS) {
        error = wait_for(socket.fd(), POLLOUT, host, patience);
    }
    if (error != 0) {
        fail(host, std::strerror(error));
    }
    std::string framed{static_cast<char>(request.size() >> 8),
                       static_cast<char>(request.size() & 0xff)};
    framed += request;
    // So few bytes always fit into the buffer of a new socket.
    if (::send(socket.fd(), framed.data(), framed.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(framed.size())) {
        fail(host, std::strerror(errno));
    }
    std::string answer;
    while (answer.size() < longest_answer) {
        wait_for(socket.fd(), POLLIN, host, patience);
        char buffer[4096];
        const auto got = ::recv(socket.fd(), buffer, sizeof buffer, 0);
        if (got < 0 && errno != EINTR && errno != EAGAIN) {
            fail(host, std::strerror(errno));
        }
        if (got == 0) {
            break;
        }
        answer.append(buffer, static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    }
    return answer;
}

// "name rabbit at port 25672" lines, after epmd's own port, as "rabbit, other".
std::string known_nodes(const std::string& answer) {
    std::string names;
    constexpr std::string_view before = "name ";
    for (auto at = answer.find(before, 4); at != std::string::npos; at = answer.find(before, at)) {
        at += before.size();
        names += (names.empty() ? "" : ", ") + answer.substr(at, answer.find(' ', at) - at);
    }
    return names;
}

}  // namespace

in_addr resolve_host(const std::string& host) {
    hot_backup::use_own_name_services();
    addrinfo hints{};
    hints.ai_family = AF_INET;
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    const int error = ::getaddrinfo(host.c_str(), nullptr, &hints, &found);
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, ::freeaddrinfo);
    if (error != 0) {
        throw Error(ErrorCode::unreachable,
                    "the host " + host + " has no known IPv4 address: " + ::gai_strerror(error),
                    "Check the part of the node's name after the @ sign.");
    }
    sockaddr_in address{};
    std::memcpy(&address, owner->ai_addr, sizeof address);
    return address.sin_addr;
}

std::uint16_t epmd_port_of(const std::string& name, const std::string& host, in_addr address,
                           Clock::time_point deadline, const std::function<void()>& interrupt) {
    const Patience patience{deadline, interrupt};
    const auto answer = ask(port_request + name, host, address, patience);
    if (answer.size() < 2 || answer[0] != port_response) {
        fail(host, "what answers there is not epmd");
    }
    if (answer[1] != 0) {
        const auto names = known_nodes(ask({names_request}, host, address, patience));
        throw Error(ErrorCode::unreachable,
                    "no node " + name + " runs on " + host + ": its epmd knows " +
                        (names.empty() ? "no node" : "only " + names),
                    "Start the broker, or name the node that `rabbitmqctl status` shows.");
    }
    if (answer.size() < port_response_length) {
        fail(host, "its answer is cut off");
    }
    return static_cast<std::uint16_t>(big_endian<2>(answer.data() + 2));
}

}  // namespace erlang
