// The sockets of the processes of a sandbox.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace sandbox_test {

struct TcpSocket {
    std::string local;  // as in /proc: address:port in hexadecimal digits
    std::string remote;
    bool listens = false;
};

// The TCP sockets that a process has.
std::vector<TcpSocket> sockets_of(pid_t process);

// Of a socket's ends: whether it is 127.0.0.1.
bool is_loopback(const std::string& address);

}  // namespace sandbox_test
