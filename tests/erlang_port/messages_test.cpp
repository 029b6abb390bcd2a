// Both directions of docs/protocol.md against the recorded messages that the plugin is tested
// with too: the engine makes exactly these bytes, and understands these.
#include "erlang_port/connection.hpp"

#include "tests/erlang_port/recorded.hpp"
#include "tests/erlang_port/scripted_channel.hpp"

#include <catch2/catch.hpp>

#include <map>
#include <set>

using namespace erlang;
using namespace std::chrono_literals;
using hot_backup::Error;
using hot_backup::ErrorCode;
using recorded::message;
using recorded::to_hex;

namespace {

struct Session {
    scripted::Script plugin;
    Connection connection{std::make_unique<scripted::Channel>(plugin)};
};

// An element of a recorded message that is a map.
Map map_of(std::string_view name, std::size_t element) {
    return *decode_message(message(name)).element(element)->as<Map>();
}

// Makes the call of a recorded request and returns what the recorded reply (with the request's id)
// gives.
Map call_recorded(Session& session, const std::string& request_name,
                  const std::string& reply_name) {
    const auto request = decode_message(message(request_name));
    const auto id = request.element(1)->as_unsigned().value();
    // The ids of a session count up from 1.
    while (session.plugin.sent.size() + 1 < id) {
        session.plugin.incoming.push_back(
            tuple({atom("reply"), integer(session.plugin.sent.size() + 1), atom("ok"), map({})}));
        session.connection.call("filler", {}, 1s);
    }
    session.plugin.add(message(reply_name));
    const std::chrono::milliseconds timeout(request.element(2)->as_unsigned().value());
    auto result = Map{};
    try {
        result = session.connection.call(request.element(3)->as<Atom>()->name,
                                         *request.element(4)->as<Map>(), timeout);
    } catch (...) {
        CHECK(to_hex(session.plugin.last_sent()) == to_hex(message(request_name)));
        throw;
    }
    CHECK(to_hex(session.plugin.last_sent()) == to_hex(message(request_name)));
    return result;
}

}  // namespace

TEST_CASE("every recorded message survives decoding and encoding") {
    std::set<std::string> names;
    for (const auto& example : recorded::load(recorded::messages_file())) {
        INFO(example.name);
        CHECK(names.insert(example.name).second);
        const auto term = decode_message(example.bytes);
        std::string bytes;
        encode_message(term, bytes);
        CHECK(to_hex(bytes) == to_hex(example.bytes));
        // The text in the file is what the bytes say.
        if (example.text.find("131,") == std::string::npos) {
            CHECK(to_string(term, 4096) == example.text);
        }
    }
}

TEST_CASE("recorded hellos") {
    const std::map<std::string, std::string> stores{{"hello_plugin", "mnesia"},
                                                    {"hello_plugin_khepri", "khepri"}};
    for (const auto& [name, store] : stores) {
        Session session;
        session.plugin.add(message(name));
        const auto info = session.connection.hello(map_of("hello_engine", 2));
        CHECK(to_hex(session.plugin.last_sent()) == to_hex(message("hello_engine")));
        CHECK(info == map_of(name, 2));
        CHECK(info.find("metadata_store")->is_atom(store));
    }
    Session session;
    session.plugin.add(message("hello_plugin_newer"));
    CHECK_THROWS_WITH(session.connection.hello({}), Catch::Contains("the plugin knows 3, 2"));
}

TEST_CASE("recorded requests and their replies") {
    const std::vector<std::pair<std::string, std::string>> calls{
        {"job_begin", "job_begin_reply"},
        {"job_begin_asked", "job_begin_reply"},
        {"job_end_done", "job_end_reply"},
        {"job_end_failed", "job_end_reply"},
        {"job_end_cancelled", "job_end_reply"},
        {"describe", "describe_reply"},
        {"checkpoint_begin", "checkpoint_begin_reply"},
        {"checkpoint_begin", "checkpoint_begin_khepri_reply"},
        {"stop", "stop_reply"},
        {"stop", "stop_khepri_reply"},
        {"checkpoint_stream", "checkpoint_stream_reply"},
        {"statistics_stream", "statistics_stream_reply"},
        {"inventory_stream", "inventory_stream_reply"},
        {"checkpoint_end", "checkpoint_end_reply"},
        {"definition_rules", "definition_rules_reply"},
    };
    for (const auto& [request, answer] : calls) {
        INFO(request);
        Session session;
        CHECK(call_recorded(session, request, answer) == map_of(answer, 3));
    }
}

TEST_CASE("recorded errors") {
    for (const std::string name : {"job_begin_busy", "checkpoint_begin_unsupported"}) {
        Session session;
        const auto request = name.substr(0, name.rfind('_'));
        const auto* text = map_of(name, 3).find("message");
        REQUIRE(text != nullptr);
        const auto expected = map_of(name, 3).find("message")->as<Binary>()->bytes;
        CHECK_THROWS_WITH(call_recorded(session, request, name), expected);
    }
}

TEST_CASE("a recorded stream") {
    Session session;
    std::vector<std::string> acknowledgements;
    session.plugin.on_sent = [&](const Term&) {
        acknowledgements.push_back(to_hex(session.plugin.last_sent()));
    };
    std::vector<std::string> items;
    for (const char* name : {"data_first", "data_second", "stream_end"}) {
        session.plugin.add(message(name));
    }
    const auto result =
        session.connection.receive_stream(1, 1s, [&items](std::string_view payload) {
            for (ListReader reader(payload); auto item = reader.next();) {
                items.push_back(to_string(decode_item(*item)));
            }
        });
    CHECK(result == map_of("stream_end", 2));
    CHECK(items == std::vector<std::string>{"{schema,rabbit_vhost,[{name,rabbit_vhost}]}"});
    CHECK(acknowledgements ==
          std::vector{to_hex(message("ack_first")), to_hex(message("ack_second"))});

    session.plugin.add(message("stream_abort"));
    CHECK_THROWS_WITH(session.connection.receive_stream(1, 1s, [](std::string_view) {}),
                      "nothing was acknowledged for 60 s");
}

TEST_CASE("recorded requests of the plugin and our replies") {
    Session session;
    session.plugin.add(message("ping"));
    session.connection.poll();
    CHECK(to_hex(session.plugin.last_sent()) == to_hex(message("ping_reply")));

    session.plugin.add(message("backup"));
    const auto order = session.connection.next_request();
    REQUIRE(order);
    CHECK(order->operation == "backup");
    CHECK(order->arguments == map_of("backup", 4));
    session.connection.reply(*order, {});
    CHECK(to_hex(session.plugin.last_sent()) == to_hex(message("backup_reply")));
    session.connection.reply_error(
        *order, Error(ErrorCode::failed, "cannot open /var/backups/rabbitmq: permission denied",
                      "Give the user of the broker write access to it."));
    CHECK(to_hex(session.plugin.last_sent()) == to_hex(message("backup_failed")));

    session.plugin.add(message("unknown_operation"));
    const auto unknown = session.connection.next_request();
    REQUIRE(unknown);
    session.connection.reply_error(
        *unknown, Error(ErrorCode::usage, "the operation " + unknown->operation + " is not known"));
    CHECK(to_hex(session.plugin.last_sent()) == to_hex(message("unknown_operation_reply")));
}

TEST_CASE("recorded notices") {
    Session session;
    session.connection.notify("progress", map_of("progress", 2));
    CHECK(to_hex(session.plugin.last_sent()) == to_hex(message("progress")));
    Map details;
    session.connection.on_notice([&](const std::string& topic, const Map& received) {
        CHECK(topic == "cancel");
        details = received;
    });
    session.plugin.add(message("cancel"));
    session.connection.poll();
    CHECK(details == map_of("cancel", 2));
}
