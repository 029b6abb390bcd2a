// Bytes and terms that nobody sends who means well, to each side.
#include "erlang_port/external_term.hpp"
#include "erlang_port/node_connection.hpp"
#include "tests/harness/temp_dir.hpp"
#include "tests/harness/wait.hpp"
#include "tests/integration/service_watch.hpp"
#include "tests/integration/support.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

using namespace harness;
using namespace integration;
using namespace std::chrono_literals;
using erlang::atom;
using erlang::binary;
using erlang::integer;
using erlang::list;
using erlang::map;
using erlang::Term;
using erlang::tuple;

namespace {

std::string frame(const std::string& bytes) {
    std::string framed;
    for (const unsigned shift : {24U, 16U, 8U, 0U}) {
        framed += static_cast<char>((bytes.size() >> shift) & 0xFFU);
    }
    return framed + bytes;
}

std::string frame(const Term& message) {
    std::string bytes;
    erlang::encode_message(message, bytes);
    return frame(bytes);
}

Term plugin_hello() {
    return tuple({atom("hello"), list({integer(1)}),
                  map({{"plugin_version", binary("1")},
                       {"node", binary("n@h")},
                       {"cluster", binary("c")},
                       {"rabbitmq_version", binary("3")},
                       {"erlang_version", binary("25")},
                       {"metadata_store", atom("mnesia")}})});
}

Term engine_hello() {
    return tuple(
        {atom("hello"), list({integer(1)}),
         map({{"program", binary("hostile")}, {"version", binary("0")}, {"os_pid", integer(1)}})});
}

Term request(Term id, const char* operation, Term arguments) {
    return tuple(
        {atom("request"), std::move(id), integer(10'000), atom(operation), std::move(arguments)});
}

// Attaches, sends, and waits for the plugin to end the session.
void check_session_ends(const Broker& broker, const std::vector<Term>& messages) {
    erlang::NodeConnection connection({.node = broker.node(), .cookie = broker.cookie()});
    const Term attached =
        connection.call("rabbit_hot_backup_session", "attach", {connection.self()}, 30s);
    REQUIRE(attached.element(0)->is_atom("ok"));
    const Term session = *attached.element(1);
    const auto deadline = std::chrono::steady_clock::now() + 30s;
    try {
        for (const Term& message : messages) {
            connection.send(session, message, deadline);
        }
        while (std::chrono::steady_clock::now() < deadline) {
            if (connection.receive(deadline).what == erlang::Channel::Received::What::closed) {
                return;
            }
        }
    } catch (const hot_backup::Error&) {
        return;  // closed while we were sending
    }
    FAIL("the session goes on");
}

std::size_t sessions(const Broker& broker) {
    const Term children =
        broker.call("supervisor", "which_children", {atom("rabbit_hot_backup_session_sup")});
    return std::get<erlang::List>(children.value()).elements.size();
}

}  // namespace

TEST_CASE("a port program that reads hostile bytes ends with one error") {
    const std::string hello = frame(plugin_hello());
    Term nested = list({});
    for (int depth = 0; depth < 5000; ++depth) {
        nested = tuple({std::move(nested)});
    }
    const std::vector<std::pair<const char*, std::string>> inputs{
        {"text", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"},
        {"longer than any message", std::string("\xFF\xFF\xFF\xFF\x83", 5)},
        {"cut off in the length", hello + std::string("\0\0", 2)},
        {"cut off in the message", hello.substr(0, hello.size() - 1)},
        {"an empty message", frame(std::string())},
        {"no term", frame(std::string("\x83\xFF\x00", 3))},
        {"a compressed term", frame(std::string("\x83P\0\0\0\x10xxxx", 10))},
        {"bytes behind the term", frame(std::string("\x83"
                                                    "a\x01"
                                                    "a\x01",
                                                    5))},
        {"a term without end", frame(std::string("\x83l\xFF\xFF\xFF\xFF", 6))},
        {"no hello", frame(tuple({atom("ack"), integer(1), integer(1)}))},
        {"a hello without its info", frame(tuple({atom("hello"), list({integer(1)}), map({})}))},
        {"garbage behind the hello", hello + frame(std::string("garbage"))},
        {"deep nesting behind the hello", hello + frame(nested)},
        {"a second hello", hello + hello},
    };
    for (const auto& [name, input] : inputs) {
        INFO(name);
        const CliResult result = run_cli({"port"}, {{}, {}, input});
        INFO(result.error_output);
        CHECK(result.exit_code == 1);
        CHECK(result.error_output.starts_with("ERROR: "));
        CHECK(result.error_output.find("ERROR: ", 1) == std::string::npos);
    }
    CHECK(run_cli({"port"}, {{}, {}, hello}).exit_code == 0);
}

TEST_CASE("a session ends at what the protocol does not have, and the broker goes on") {
    Broker& broker = loaded_broker();
    const TempDir files;
    ServiceWatch service(broker);
    const std::size_t before = sessions(broker);
    const Term hello = engine_hello();
    const auto flood = [&] {
        std::vector<Term> messages{hello};
        for (std::uint64_t id = 1; id <= 3000; ++id) {
            messages.push_back(request(integer(id), "describe", map({})));
        }
        return messages;
    };
    const std::vector<std::pair<const char*, std::vector<Term>>> conversations{
        {"an atom", {atom("garbage")}},
        {"an integer", {integer(1)}},
        {"an improper list", {Term(erlang::List{{integer(1)}, {integer(2)}})}},
        {"a large binary", {binary(std::string(5'000'000, 'x'))}},
        {"a request before the hello", {request(integer(1), "describe", map({}))}},
        {"a hello without versions", {tuple({atom("hello"), integer(1), map({})})}},
        {"versions nobody knows", {tuple({atom("hello"), list({integer(77)}), map({})})}},
        {"two hellos", {hello, hello}},
        {"data for the plugin",
         {hello, tuple({atom("data"), integer(1), integer(0), binary("x")})}},
        {"a request with an atom for its number",
         {hello, request(atom("one"), "describe", map({}))}},
        {"arguments that are no map", {hello, request(integer(1), "describe", list({}))}},
        {"a reply without an error in it",
         {hello, tuple({atom("reply"), integer(1), atom("error"), integer(3)})}},
        {"an acknowledgement with text", {hello, tuple({atom("ack"), integer(1), binary("2")})}},
        {"thousands of requests at once", flood()},
    };
    for (const auto& [name, messages] : conversations) {
        INFO(name);
        check_session_ends(broker, messages);
    }
    wait_for("the end of the sessions", 15s, [&] { return sessions(broker) == before; });
    wait_until_idle(broker);
    service.finish();
    check_next_backup(broker, files / "repository");
}
