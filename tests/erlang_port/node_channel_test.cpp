// Against real Erlang nodes, in which a fake plugin echoes what it is sent.
#include "erlang_port/node_channel.hpp"

#include "erlang_port/error.hpp"
#include "tests/erlang_port/test_node.hpp"
#include "tests/harness/port.hpp"

#include <catch2/catch.hpp>

#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <string>

using namespace erlang;
using namespace std::chrono_literals;
using hot_backup::Error;
using hot_backup::ErrorCode;
using test_node::Node;
using What = Channel::Received::What;

namespace {

// Like main() does.
const auto sigpipe_ignored = std::signal(SIGPIPE, SIG_IGN);

Clock::time_point soon() {
    return Clock::now() + 30s;
}

// The node that the tests share which do it no harm.
Node& node() {
    static Node shared;
    return shared;
}

template <class Channel, class Options>
Error error_of(const Options& options) {
    try {
        Channel channel(options);
    } catch (const Error& error) {
        return error;
    }
    return {ErrorCode::usage, "no error"};
}

Error connect_error(NodeOptions options) {
    return error_of<NodeConnection>(options);
}

Term echo(Channel& channel, const Term& message) {
    channel.send(message, soon());
    auto received = channel.receive(soon());
    REQUIRE(received.what == What::message);
    return received.message;
}

}  // namespace

TEST_CASE("functions are evaluated in a node") {
    NodeConnection connection(node().connect());
    CHECK(connection.call("erlang", "node", {}, 30s) == atom(node().name()));
    CHECK(connection.call("lists", "reverse", {list({integer(1), atom("a")})}, 30s) ==
          list({atom("a"), integer(1)}));
    // We are hidden: other nodes do not see us as one of theirs.
    CHECK(connection.call("erlang", "nodes", {}, 30s) == list({}));
    CHECK_THROWS_WITH(connection.call("erlang", "error", {atom("boom")}, 30s),
                      Catch::Contains("erlang:error failed in the node " + node().name()) &&
                          Catch::Contains("boom"));
    CHECK(connection.rpc("erlang", "throw", {atom("ball")}, 30s) == atom("ball"));
}

TEST_CASE("a node whose port is known needs neither epmd nor a host that is known") {
    auto options = node().connect();
    const auto at = options.node.find('@');
    const auto host = resolve_host(options.node.substr(at + 1));
    options.loopback_port =
        epmd_port_of(options.node.substr(0, at), options.node.substr(at + 1), host, soon());
    options.node = options.node.substr(0, at) + "@no-such-host";
    CHECK(NodeConnection(options).call("erlang", "node", {}, 30s) == atom(node().name()));
    const harness::Port nobody;
    options.loopback_port = nobody.number();
    CHECK(connect_error(options).what() ==
          "cannot connect to the node " + options.node + ": Connection refused");
}

TEST_CASE("a late answer is not taken for the next one") {
    NodeConnection connection(node().connect());
    const auto started = Clock::now();
    CHECK_THROWS_WITH(connection.call("timer", "sleep", {integer(300)}, 20ms),
                      Catch::Contains("did not answer timer:sleep within 20 ms"));
    CHECK(Clock::now() - started < 20s);
    for (int i = 0; i < 20; ++i) {
        CHECK(connection.call("timer", "sleep", {integer(30)}, 30s) == atom("ok"));
        CHECK(connection.call("erlang", "abs", {integer(7)}, 30s) == integer(7));
    }
}

TEST_CASE("messages that come during a call are kept") {
    NodeConnection connection(node().connect());
    connection.send(connection.self(), atom("ignored"), soon());  // to nobody of the node
    CHECK(connection.call("erlang", "send", {connection.self(), atom("early")}, 30s) ==
          atom("early"));
    CHECK(connection.receive(soon()).message == atom("early"));
    CHECK(connection.receive(Clock::now()).what == What::timeout);
}

TEST_CASE("what is sent to a name is not for us") {
    NodeConnection connection(node().connect());
    const auto us = connection.call("erlang", "node", {connection.self()}, 30s);
    const auto stray = tuple({atom("$gen_call"), connection.self(), atom("is_auth")});
    connection.call("erlang", "send", {tuple({atom("net_kernel"), us}), stray}, 30s);
    connection.call("erlang", "send", {connection.self(), atom("ours")}, 30s);
    CHECK(connection.receive(soon()).message == atom("ours"));
    CHECK(connection.receive(Clock::now()).what == What::timeout);
}

TEST_CASE("messages in place of an answer are kept up to a bound") {
    NodeConnection connection(node().connect());
    const auto send_to_us = [&connection] {
        connection.call("erlang", "send", {connection.self(), atom("early")}, 30s);
    };
    for (int n = 0; n < 64; ++n) {
        REQUIRE_NOTHROW(send_to_us());
    }
    CHECK_THROWS_WITH(send_to_us(), Catch::Contains("more than 64 messages in place of an answer"));
    CHECK(connection.receive(soon()).message == atom("early"));
}

TEST_CASE("an interrupt ends the wait for an answer and for a handshake") {
    struct Interrupted {};
    Node slow;
    auto options = slow.connect();
    SECTION("for an answer") {
        int calls = -1'000;
        options.interrupt = [&] {
            if (++calls == 3) {
                throw Interrupted();
            }
        };
        NodeConnection connection(options);
        const auto started = Clock::now();
        calls = 0;
        CHECK_THROWS_AS(connection.call("timer", "sleep", {integer(25'000)}, 60s), Interrupted);
        CHECK(Clock::now() - started < 10s);
    }
    SECTION("for a handshake, which ends first") {
        slow.process().signal(SIGSTOP);
        options.timeout = 1s;
        options.interrupt = [started = Clock::now()] {
            if (Clock::now() - started > 900ms) {
                throw Interrupted();
            }
        };
        CHECK_THROWS_AS(NodeConnection(options), Interrupted);
        slow.process().signal(SIGCONT);
    }
}

TEST_CASE("a channel attaches to the session and carries terms both ways") {
    NodeChannel channel(node().connect());
    CHECK(channel.node() == node().name());
    const auto term = tuple({atom("data"), map({{"a", binary("\xc3\xa9")}}), Term(1.5),
                             list({integer(1), integer(2)}), integer(std::uint64_t{1} << 63)});
    CHECK(echo(channel, term) == term);
    CHECK(channel.receive(Clock::now()).what == What::timeout);
    const auto started = Clock::now();
    CHECK(channel.receive(started + 50ms).what == What::timeout);
    CHECK(Clock::now() - started >= 50ms);
}

TEST_CASE("two channels are two sessions") {
    NodeChannel first(node().connect());
    NodeChannel second(node().connect());
    first.send(atom("one"), soon());
    CHECK(echo(second, atom("two")) == atom("two"));
    CHECK(first.receive(soon()).message == atom("one"));
}

TEST_CASE("long messages pass in both directions") {
    NodeChannel channel(node().connect());
    const auto long_binary = binary(std::string(20'000'000, 'y'));
    CHECK(echo(channel, long_binary) == long_binary);
    constexpr std::uint64_t size = 60'000'000;
    const auto answer = echo(channel, tuple({atom("blob"), integer(size)}));
    REQUIRE(answer.element(1) != nullptr);
    CHECK(answer.element(1)->as<Binary>()->bytes == std::string(size, 'x'));
}

TEST_CASE("a message over the cap ends the session before it takes memory") {
    NodeChannel channel(node().connect());
    channel.send(tuple({atom("blob"), integer(max_message + 100'000)}), soon());
    CHECK_THROWS_WITH(channel.receive(soon()), Catch::Contains("which is more than"));
    CHECK_THROWS_WITH(channel.receive(soon()), Catch::Contains("which is more than"));
}

TEST_CASE("the end of the plugin's session is the end of the channel") {
    NodeChannel channel(node().connect());
    // It disconnects us, or tells our pid to exit.
    channel.send(atom(GENERATE("stop", "exit")), soon());
    CHECK(channel.receive(soon()).what == What::closed);
    CHECK(channel.receive(soon()).what == What::closed);
}

TEST_CASE("the death of the node is the end of the channel") {
    Node dying;
    NodeChannel channel(dying.connect());
    SECTION("it is killed") {
        dying.process().signal(SIGKILL);
    }
    SECTION("it halts in the middle of a session") {
        channel.send(atom("halt"), soon());
    }
    CHECK(channel.receive(soon()).what == What::closed);
    CHECK_THROWS_WITH(
        [&channel] {
            // The first write after the end may still be taken by the kernel.
            for (int i = 0; i < 2; ++i) {
                channel.send(atom("x"), soon());
            }
        }(),
        Catch::Contains("closed the connection"));
}

TEST_CASE("a node with long names is reached") {
    Node distant({.long_names = true});
    NodeChannel channel(distant.connect());
    CHECK(echo(channel, atom("a")) == atom("a"));
    auto options = distant.connect();
    options.long_names = false;  // the dots in the host say it as well
    CHECK_NOTHROW(NodeConnection(options));
}

TEST_CASE("ticks are answered while a channel receives") {
    Node ticking({.arguments = {"-kernel", "net_ticktime", "2"}});
    NodeChannel channel(ticking.connect());
    CHECK(channel.receive(Clock::now() + 5s).what == What::timeout);
    CHECK(echo(channel, atom("alive")) == atom("alive"));
}

TEST_CASE("a node without the plugin is told from one that refuses") {
    Node bare({.fake_plugin = false});
    const auto missing = error_of<NodeChannel>(bare.connect());
    CHECK(missing.code() == ErrorCode::unreachable);
    CHECK(missing.what() ==
          "the plugin rabbitmq_hot_backup is not enabled on the node " + bare.name());
    CHECK_THAT(missing.hint(), Catch::Contains("rabbitmq-plugins enable rabbitmq_hot_backup"));

    NodeConnection connection(node().connect());
    const auto refusal =
        map({{"code", atom("busy")}, {"message", binary("not now")}, {"hint", binary("Later.")}});
    const auto key = atom("fake_plugin_refuses");
    connection.call("application", "set_env", {atom("kernel"), key, refusal}, 30s);
    const auto refused = error_of<NodeChannel>(node().connect());
    connection.call("application", "set_env", {atom("kernel"), key, atom("nonsense")}, 30s);
    const auto nonsense = error_of<NodeChannel>(node().connect());
    connection.call("application", "unset_env", {atom("kernel"), key}, 30s);
    CHECK(refused.code() == ErrorCode::unreachable);
    CHECK(refused.what() == std::string("not now"));
    CHECK(refused.hint() == "Later.");
    CHECK_THAT(nonsense.what(), Catch::Contains("{error,nonsense}"));
}

TEST_CASE("a wrong cookie is told") {
    auto options = node().connect();
    options.cookie = "wrong";
    const auto error = connect_error(options);
    CHECK(error.code() == ErrorCode::unreachable);
    CHECK_THAT(error.what(), Catch::Contains("the Erlang cookie is not its own"));
    CHECK_THAT(error.hint(), Catch::Contains(".erlang.cookie"));
}

TEST_CASE("what stands between us and a node is told") {
    test_node::start_epmd();
    SECTION("not the name of a node") {
        for (const char* name : {"", "@localhost", "rabbit@"}) {
            CHECK(connect_error({.node = name, .cookie = "c"}).code() == ErrorCode::usage);
        }
    }
    SECTION("an unknown host") {
        const auto error = connect_error({.node = "rabbit@no-such-host.invalid", .cookie = "c"});
        CHECK(error.code() == ErrorCode::unreachable);
        CHECK_THAT(error.what(), Catch::Contains("no-such-host.invalid has no known IPv4 address"));
    }
    SECTION("no such node, others are named") {
        const auto other = node().name().substr(0, node().name().find('@'));
        const auto error = connect_error({.node = "absent@localhost", .cookie = "c"});
        CHECK(error.code() == ErrorCode::unreachable);
        CHECK_THAT(error.what(),
                   Catch::Contains("no node absent runs on localhost: its epmd knows only ") &&
                       Catch::Contains(other));
    }
    SECTION("a name without a host is one of this host") {
        std::array<char, 256> host{};
        REQUIRE(::gethostname(host.data(), host.size() - 1) == 0);
        const std::string full = host.data();
        CHECK_THAT(connect_error({.node = "absent", .cookie = "c"}).what(),
                   Catch::Contains(" " + full.substr(0, full.find('.'))));
    }
}

TEST_CASE("an epmd that does not run or does not answer is told") {
    test_node::start_epmd();
    const std::string before = std::getenv("ERL_EPMD_PORT");
    const harness::Port port;
    ::setenv("ERL_EPMD_PORT", std::to_string(port.number()).c_str(), 1);
    const auto error = connect_error({.node = "rabbit@localhost", .cookie = "c", .timeout = 5s});
    ::setenv("ERL_EPMD_PORT", before.c_str(), 1);
    CHECK(error.code() == ErrorCode::unreachable);
    CHECK_THAT(error.what(), Catch::Contains("(epmd) of localhost on port " +
                                             std::to_string(port.number()) + ": "));
    CHECK_THAT(error.hint(), Catch::Contains("ERL_EPMD_PORT"));
}

TEST_CASE("a node that is stopped does not answer") {
    Node stopped;
    stopped.process().signal(SIGSTOP);
    auto options = stopped.connect();
    options.timeout = 500ms;
    const auto error = connect_error(options);
    stopped.process().signal(SIGCONT);
    CHECK(error.code() == ErrorCode::unreachable);
    CHECK(error.what() == "the node " + stopped.name() + " does not answer");
}
