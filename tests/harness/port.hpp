// Free TCP ports on the loopback interface that no other test takes at the same time.
#pragma once

#include <cstdint>

namespace harness {

// A port that is ours until the object is destroyed, whether or not something listens on it.
//
// Asking the kernel for "any port" and closing the socket again lets another process have the same
// port before the broker listens. So a port outside the range from which the kernel serves such
// requests is chosen, and claimed among tests by the name of an abstract socket: one namespace for
// all users, freed with the process.
class Port {
public:
    Port();
    Port(const Port&) = delete;
    Port& operator=(const Port&) = delete;
    ~Port();

    std::uint16_t number() const noexcept { return number_; }

private:
    int claim_ = -1;
    std::uint16_t number_ = 0;
};

// Whether something accepts TCP connections on 127.0.0.1.
bool accepts_connections(std::uint16_t port);

}  // namespace harness
