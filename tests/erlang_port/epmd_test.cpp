#include "erlang_port/epmd.hpp"

#include "erlang_port/error.hpp"
#include "erlang_port/node_connection.hpp"
#include "tests/harness/port.hpp"

#include <catch2/catch.hpp>

#include <arpa/inet.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

using namespace erlang;
using namespace std::chrono_literals;
using hot_backup::Error;
using hot_backup::ErrorCode;

namespace {

const in_addr loopback{htonl(INADDR_LOOPBACK)};

// Takes connections on the port that ERL_EPMD_PORT names, and never says a word.
class SilentEpmd {
public:
    SilentEpmd() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port_.number());
        address.sin_addr = loopback;
        REQUIRE(::bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
        REQUIRE(::listen(fd_, 10) == 0);
        ::setenv("ERL_EPMD_PORT", std::to_string(port_.number()).c_str(), 1);
    }
    ~SilentEpmd() {
        ::unsetenv("ERL_EPMD_PORT");
        ::close(fd_);
    }
    SilentEpmd(const SilentEpmd&) = delete;
    SilentEpmd& operator=(const SilentEpmd&) = delete;

private:
    harness::Port port_;
    int fd_;
};

}  // namespace

TEST_CASE("an epmd that does not answer is waited for until the deadline") {
    const SilentEpmd epmd;
    const auto started = Clock::now();
    CHECK_THROWS_WITH(epmd_port_of("rabbit", "localhost", loopback, started + 250ms),
                      Catch::Contains("it does not answer"));
    CHECK(Clock::now() - started >= 250ms);
}

TEST_CASE("an interrupt ends the wait for epmd") {
    struct Interrupted {};
    const SilentEpmd epmd;
    int calls = 0;
    const auto interrupt = [&calls] {
        if (++calls == 4) {
            throw Interrupted();
        }
    };
    const auto started = Clock::now();
    SECTION("asked for a port") {
        CHECK_THROWS_AS(epmd_port_of("rabbit", "localhost", loopback, started + 60s, interrupt),
                        Interrupted);
    }
    SECTION("asked on the way to a node") {
        CHECK_THROWS_AS(NodeConnection({.node = "rabbit@localhost",
                                        .cookie = "c",
                                        .timeout = 60s,
                                        .interrupt = interrupt}),
                        Interrupted);
    }
    CHECK(Clock::now() - started < 20s);
}

TEST_CASE("a lack of descriptors is told as that") {
    const SilentEpmd epmd;
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    const rlimit none{0, before.rlim_max};
    std::string message;
    std::string hint;
    ::setrlimit(RLIMIT_NOFILE, &none);
    try {
        epmd_port_of("rabbit", "localhost", loopback, Clock::now() + 1s);
    } catch (const Error& error) {
        message = error.what();
        hint = error.hint();
    }
    ::setrlimit(RLIMIT_NOFILE, &before);
    CHECK(message == "cannot make a socket: Too many open files");
    CHECK_THAT(hint, Catch::Contains("limit of open files"));
}
