#include "tests/harness/datagrams.hpp"

#include "erlang_port/error.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <vector>

namespace harness {

using hot_backup::Error;
using hot_backup::ErrorCode;

namespace {

// A socket on a host.
class Datagrams {
public:
    explicit Datagrams(const NetworkHost& host) {
        const Visit visit(&host);
        fd_ = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        address_.sin_family = AF_INET;
        inet_pton(AF_INET, host.address().c_str(), &address_.sin_addr);
        socklen_t length = sizeof address_;
        if (bind(fd_, reinterpret_cast<const sockaddr*>(&address_), length) != 0) {
            throw Error(ErrorCode::failed,
                        "cannot bind to " + host.address() + ": " + std::strerror(errno));
        }
        getsockname(fd_, reinterpret_cast<sockaddr*>(&address_), &length);
        const timeval patience{.tv_sec = 0, .tv_usec = 250'000};
        setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    }
    Datagrams(const Datagrams&) = delete;
    Datagrams& operator=(const Datagrams&) = delete;
    ~Datagrams() { close(fd_); }

    const sockaddr_in& address() const noexcept { return address_; }

    void send(int number, const sockaddr_in& to) const {
        sendto(fd_, &number, sizeof number, 0, reinterpret_cast<const sockaddr*>(&to), sizeof to);
    }

    // Nothing when none came for a quarter of a second.
    std::optional<int> receive() const {
        int number = 0;
        const auto length = recv(fd_, &number, sizeof number, 0);
        return length == sizeof number ? std::optional(number) : std::nullopt;
    }

private:
    int fd_ = -1;
    sockaddr_in address_{};
};

}  // namespace

std::chrono::microseconds measure_round_trip(const NetworkHost& from, const NetworkHost& to,
                                             int count) {
    const Datagrams here(from);
    const Datagrams there(to);
    std::vector<std::chrono::steady_clock::duration> times;
    for (int number = 0; number < count; ++number) {
        const auto sent = std::chrono::steady_clock::now();
        here.send(number, there.address());
        if (!there.receive()) {
            continue;
        }
        there.send(number, here.address());
        if (here.receive() == number) {
            times.push_back(std::chrono::steady_clock::now() - sent);
        }
    }
    if (times.empty()) {
        throw Error(ErrorCode::failed,
                    "nothing comes back to " + from.address() + " from " + to.address());
    }
    std::ranges::sort(times);
    return std::chrono::round<std::chrono::microseconds>(times[times.size() / 2]);
}

int count_arrivals(const NetworkHost& from, const NetworkHost& to, int count) {
    const Datagrams here(from);
    const Datagrams there(to);
    int arrived = 0;
    // No more at once than a socket keeps.
    constexpr int at_once = 250;
    for (int number = 0; number < count; ++number) {
        here.send(number, there.address());
        if ((number + 1) % at_once == 0 || number + 1 == count) {
            while (there.receive()) {
                ++arrived;
            }
        }
    }
    return arrived;
}

}  // namespace harness
