#include "tests/erlang_port/test_node.hpp"

#include "erlang_port/epmd.hpp"
#include "erlang_port/error.hpp"
#include "tests/harness/port.hpp"
#include "tests/harness/wait.hpp"

#include <unistd.h>

#include <cstdlib>

namespace test_node {

using namespace std::chrono_literals;

namespace {

constexpr const char* cookie = "the_cookie_of_the_tests";

class Epmd {
public:
    Epmd() : process_("epmd", {"-port", std::to_string(port_.number()), "-address", "127.0.0.1"}) {
        ::setenv("ERL_EPMD_PORT", std::to_string(port_.number()).c_str(), 1);
        harness::wait_for("epmd", 20s,
                          [this] { return harness::accepts_connections(port_.number()); });
    }

private:
    harness::Port port_;
    harness::Process process_;
};

bool is_registered(const std::string& name) {
    const auto at = name.find('@');
    const auto host = name.substr(at + 1);
    try {
        erlang::epmd_port_of(name.substr(0, at), host, erlang::resolve_host(host),
                             erlang::Clock::now() + 5s);
        return true;
    } catch (const hot_backup::Error&) {
        return false;
    }
}

}  // namespace

void start_epmd() {
    static const Epmd epmd;
}

Node::Node(Options options) : long_names_(options.long_names) {
    start_epmd();
    static int count = 0;
    name_ = "test" + std::to_string(::getpid()) + "_" + std::to_string(++count) +
            (long_names_ ? "@127.0.0.1" : "@localhost");
    std::vector<std::string> arguments{"-noinput", long_names_ ? "-name" : "-sname", name_,
                                       "-setcookie", cookie};
    if (options.fake_plugin) {
        arguments.insert(arguments.end(), {"-pa", FAKE_PLUGIN_DIR});
    }
    arguments.insert(arguments.end(), options.arguments.begin(), options.arguments.end());
    // A home of its own, so that no cookie file is read or made.
    process_ = std::make_unique<harness::Process>(
        "erl", arguments,
        harness::ProcessOptions{.environment = {{"HOME", home_.path().string()},
                                                {"ERL_FLAGS", std::nullopt},
                                                {"ERL_AFLAGS", std::nullopt},
                                                {"ERL_ZFLAGS", std::nullopt}},
                                .directory = home_.path()});
    harness::wait_for("the node " + name_, 60s, [this] { return is_registered(name_); });
}

erlang::NodeOptions Node::connect() const {
    return {.node = name_, .cookie = cookie, .long_names = long_names_, .timeout = 30s};
}

}  // namespace test_node
