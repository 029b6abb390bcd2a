#include "erlang_port/connection.hpp"

#include "tests/erlang_port/scripted_channel.hpp"

#include <catch2/catch.hpp>

using namespace erlang;
using namespace std::chrono_literals;
using hot_backup::Error;
using hot_backup::ErrorCode;

namespace {

struct Session {
    scripted::Script plugin;
    Connection connection{std::make_unique<scripted::Channel>(plugin)};
};

Term hello(std::vector<Term> versions) {
    return tuple({atom("hello"), list(std::move(versions)), map({{"node", binary("a@b")}})});
}

Term reply(std::uint64_t id, std::uint64_t value) {
    return tuple({atom("reply"), integer(id), atom("ok"), map({{"value", integer(value)}})});
}

Term data(std::uint64_t stream, std::uint64_t sequence, std::string_view payload) {
    return tuple({atom("data"), integer(stream), integer(sequence), binary(payload)});
}

Term stream_end(std::uint64_t stream, std::uint64_t messages, std::uint64_t bytes) {
    return tuple({atom("stream_end"), integer(stream),
                  map({{"messages", integer(messages)}, {"bytes", integer(bytes)}})});
}

Term ping(std::uint64_t id) {
    return tuple({atom("request"), integer(id), integer(30'000), atom("ping"), map({})});
}

Term backup_request(std::uint64_t id) {
    return tuple({atom("request"), integer(id), integer(30'000), atom("backup"),
                  map({{"job", integer(7)}})});
}

template <class Action>
Error error_of(Action&& action) {
    try {
        action();
    } catch (const Error& error) {
        return error;
    }
    return {ErrorCode::usage, "no error"};
}

}  // namespace

TEST_CASE("hello gives the plugin's information") {
    Session session;
    session.plugin.incoming = {hello({integer(2), integer(1)})};
    const auto info = session.connection.hello({});
    REQUIRE(info.find("node") != nullptr);
    CHECK(session.plugin.sent == std::vector{tuple({atom("hello"), list({integer(1)}), Map{}})});
}

TEST_CASE("hello names both sides' versions and which side is too old") {
    Session session;
    session.plugin.incoming = {hello({integer(3), integer(2)})};
    auto error = error_of([&] { session.connection.hello({}); });
    CHECK(error.code() == ErrorCode::unreachable);
    CHECK_THAT(error.what(), Catch::Contains("the plugin knows 3, 2, this program knows 1"));
    CHECK_THAT(error.hint(), Catch::Contains("Upgrade this program"));

    for (const auto& old : {hello({integer(0)}), hello({})}) {
        session.plugin.incoming = {old};
        error = error_of([&] { session.connection.hello({}); });
        CHECK(error.code() == ErrorCode::unreachable);
        CHECK_THAT(error.hint(), Catch::Contains("Upgrade the plugin"));
    }
}

TEST_CASE("nothing comes before hello, and it must come") {
    for (const auto& first :
         {ping(1), reply(1, 1), atom("hello"), tuple({atom("hello"), list({integer(1)})}),
          tuple({atom("hello"), list({atom("one")}), map({})}),
          tuple({atom("hello"), list({integer(1)}), atom("info")})}) {
        Session session;
        session.plugin.incoming = {first};
        CHECK_THAT(error_of([&] { session.connection.hello({}); }).what(),
                   Catch::Contains("a message that the protocol does not have"));
    }
    Session session;
    session.plugin.closed = true;
    session.plugin.incoming = {};
    CHECK(error_of([&] { session.connection.hello({}); }).code() != ErrorCode::usage);
}

TEST_CASE("a session that closes before hello is one that cannot be reached") {
    Session session;
    session.plugin.on_sent = [&](const Term&) { session.plugin.closed = true; };
    const auto error = error_of([&] { session.connection.hello({}); });
    CHECK(error.code() == ErrorCode::unreachable);
    CHECK(error.what() == std::string("the broker closed the connection before its hello"));
}

TEST_CASE("a call returns its reply and no other") {
    Session session;
    session.plugin.incoming = {reply(17, 1), reply(1, 2)};
    CHECK(*session.connection.call("describe", {}, 1s).find("value") == integer(2));
    // The first call's reply comes again, late: it does not answer the second.
    session.plugin.incoming = {reply(1, 2), reply(2, 3)};
    CHECK(*session.connection.call("describe", {}, 1s).find("value") == integer(3));
    CHECK(*session.plugin.sent[0].element(1) == integer(1));
    CHECK(*session.plugin.sent[1].element(1) == integer(2));
    CHECK(*session.plugin.sent[1].element(2) == integer(1000));
}

TEST_CASE("a call ends at its deadline") {
    Session session;
    const auto started = Clock::now();
    const auto error = error_of([&] { session.connection.call("describe", {}, 30ms); });
    CHECK(error.what() == std::string("the plugin did not answer describe within 30 ms"));
    CHECK(error.code() == ErrorCode::failed);
    CHECK(Clock::now() - started >= 30ms);
}

TEST_CASE("a call whose connection closes says so") {
    Session session;
    session.plugin.on_sent = [&](const Term&) { session.plugin.closed = true; };
    CHECK(error_of([&] { session.connection.call("describe", {}, 10s); }).what() ==
          std::string("the broker closed the connection"));
}

TEST_CASE("the plugin's errors become ours") {
    const auto call_answered = [](const char* code) {
        Session session;
        session.plugin.incoming = {
            tuple({atom("reply"), integer(1), atom("error"),
                   map({{"code", atom(code)}, {"message", binary("m")}, {"hint", binary("h")}})})};
        return error_of([&] { session.connection.call("describe", {}, 1s); });
    };
    for (const char* code : {"failed", "busy", "unsupported", "stalled", "of the future"}) {
        CHECK(call_answered(code).code() == ErrorCode::failed);
    }
    CHECK(call_answered("cancelled").code() == ErrorCode::interrupted);
    CHECK(call_answered("mismatch").code() == ErrorCode::unreachable);
    CHECK(call_answered("busy").what() == std::string("m"));
    CHECK(call_answered("busy").hint() == "h");
}

TEST_CASE("pings are answered and requests kept while a call waits") {
    Session session;
    session.plugin.incoming = {ping(5), backup_request(6), reply(1, 0), backup_request(7)};
    session.connection.call("describe", {}, 1s);
    CHECK(session.plugin.sent.back() == tuple({atom("reply"), integer(5), atom("ok"), map({})}));
    const auto first = session.connection.next_request();
    REQUIRE(first);
    CHECK(first->id == 6);
    CHECK(first->operation == "backup");
    CHECK(*first->arguments.find("job") == integer(7));
    CHECK(first->deadline > Clock::now() + 20s);
    CHECK(session.connection.next_request()->id == 7);
    session.plugin.closed = true;
    CHECK_FALSE(session.connection.next_request());
}

TEST_CASE("a request of any patience has a deadline") {
    Session session;
    session.plugin.incoming = {
        tuple({atom("request"), integer(1), integer(UINT64_MAX), atom("backup"), map({})})};
    CHECK(session.connection.next_request()->deadline > Clock::now());
}

TEST_CASE("a request that nobody waits for any more is dropped") {
    Session session;
    session.plugin.incoming = {
        tuple({atom("request"), integer(1), integer(0), atom("backup"), map({})}),
        backup_request(2)};
    session.connection.poll();
    CHECK(session.connection.next_request()->id == 2);
}

TEST_CASE("a plugin with too many open requests loses its session") {
    Session session;
    for (std::uint64_t id = 1; id <= 64; ++id) {
        session.plugin.incoming.push_back(backup_request(id));
    }
    session.plugin.incoming.push_back(ping(65));  // is answered at once
    CHECK_NOTHROW(session.connection.poll());
    session.plugin.incoming = {backup_request(66)};
    const auto error = error_of([&] { session.connection.poll(); });
    CHECK(error.what() == std::string("the plugin has more than 64 requests open"));
    CHECK_FALSE(error.hint().empty());
    CHECK_THROWS_WITH(session.connection.next_request(), error.what());
}

TEST_CASE("replies carry results and errors") {
    Session session;
    const Request request{9, Clock::now(), "backup", {}};
    session.connection.reply(request, {});
    CHECK(session.plugin.sent.back() == tuple({atom("reply"), integer(9), atom("ok"), map({})}));
    const auto code_sent = [&](ErrorCode code) {
        session.connection.reply_error(request, Error(code, "m", "h"));
        const auto* error = session.plugin.sent.back().element(3)->as<Map>();
        CHECK(*error->find("message") == binary("m"));
        CHECK(*error->find("hint") == binary("h"));
        return *error->find("code");
    };
    CHECK(code_sent(ErrorCode::failed) == atom("failed"));
    CHECK(code_sent(ErrorCode::locked) == atom("failed"));
    CHECK(code_sent(ErrorCode::interrupted) == atom("cancelled"));
    CHECK(code_sent(ErrorCode::usage) == atom("unsupported"));
}

TEST_CASE("notices go to their handler, at any time") {
    Session session;
    std::vector<std::string> topics;
    session.connection.on_notice([&](const std::string& topic, const Map& details) {
        topics.push_back(topic + to_string(Term(details)));
    });
    const auto cancel = tuple({atom("notice"), atom("cancel"), map({{"job", integer(7)}})});
    session.plugin.incoming = {cancel, reply(1, 0), cancel};
    session.connection.call("describe", {}, 1s);
    session.connection.poll();
    CHECK(topics == std::vector<std::string>(2, "cancel#{job => 7}"));
    session.connection.notify("progress", {});
    CHECK(session.plugin.sent.back() == tuple({atom("notice"), atom("progress"), map({})}));
}

TEST_CASE("poll handles what is there and does not wait") {
    Session session;
    const auto started = Clock::now();
    session.plugin.incoming = {ping(1), ping(2)};
    session.connection.poll();
    CHECK(session.plugin.sent.size() == 2);
    CHECK(Clock::now() - started < 5s);
    session.plugin.closed = true;
    CHECK_THROWS_AS(session.connection.poll(), Error);
}

TEST_CASE("an interrupt ends the wait for the hello") {
    struct Interrupted {};
    Session session;
    session.connection.on_interrupt([] { throw Interrupted(); });
    CHECK_THROWS_AS(session.connection.hello({}), Interrupted);
}

TEST_CASE("an interrupt ends every wait") {
    struct Interrupted {};
    Session session;
    int calls = 0;
    session.connection.on_interrupt([&] {
        if (++calls % 3 == 0) {
            throw Interrupted();
        }
    });
    CHECK_THROWS_AS(session.connection.call("describe", {}, 60s), Interrupted);
    CHECK_THROWS_AS(session.connection.next_request(), Interrupted);
    CHECK_THROWS_AS(session.connection.receive_stream(1, 60s, [](std::string_view) {}),
                    Interrupted);
    CHECK(calls == 9);
}

TEST_CASE("a stream is consumed in order, acknowledged and counted") {
    Session session;
    const auto stream = session.connection.new_stream();
    std::string consumed;
    session.plugin.incoming = {data(stream, 0, "ab"),
                               data(stream + 9, 0, "other stream"),
                               ping(3),
                               data(stream, 1, ""),
                               backup_request(4),
                               data(stream, 2, "c"),
                               stream_end(stream, 3, 3)};
    const auto result = session.connection.receive_stream(stream, 1s, [&](std::string_view part) {
        // Acknowledged is only what has been consumed before.
        consumed += "<" + std::string(part) + ">";
        CHECK(session.plugin.incoming.size() > 0);
    });
    CHECK(consumed == "<ab><><c>");
    CHECK(*result.find("messages") == integer(3));
    const auto ack = [&](std::uint64_t sequence) {
        return tuple({atom("ack"), integer(stream), integer(sequence)});
    };
    CHECK(session.plugin.sent ==
          std::vector{ack(0), tuple({atom("reply"), integer(3), atom("ok"), map({})}), ack(1),
                      ack(2)});
    CHECK(session.connection.next_request()->id == 4);
    CHECK(session.connection.new_stream() != stream);
}

TEST_CASE("what was not consumed is not acknowledged") {
    struct DiskFull {};
    Session session;
    session.plugin.incoming = {data(1, 0, "x")};
    CHECK_THROWS_AS(
        session.connection.receive_stream(1, 1s, [](std::string_view) { throw DiskFull(); }),
        DiskFull);
    CHECK(session.plugin.sent.empty());
    // What still comes of the stream is dropped.
    session.plugin.incoming = {data(1, 1, "y"), stream_end(1, 2, 2), reply(1, 0)};
    CHECK_NOTHROW(session.connection.call("checkpoint_end", {}, 1s));
}

TEST_CASE("a stream with a gap or wrong counts is an error") {
    const auto error_with = [](std::deque<Term> incoming) {
        Session session;
        session.plugin.incoming = std::move(incoming);
        return std::string(error_of([&] {
                               session.connection.receive_stream(1, 1s, [](std::string_view) {});
                           }).what());
    };
    CHECK_THAT(error_with({data(1, 1, "x")}), Catch::Contains("message 1 came in place of 0"));
    CHECK_THAT(error_with({data(1, 0, "x"), data(1, 0, "x")}), Catch::Contains("gap"));
    CHECK_THAT(error_with({data(1, 0, "x"), stream_end(1, 2, 1)}),
               Catch::Contains("1 messages came of 2"));
    CHECK_THAT(error_with({data(1, 0, "x"), stream_end(1, 1, 2)}),
               Catch::Contains("1 bytes came of 2"));
    CHECK_THAT(error_with({tuple({atom("stream_end"), integer(1), map({})})}),
               Catch::Contains("0 messages came of unknown"));
    CHECK_THAT(error_with({tuple({atom("data"), integer(1), integer(0), atom("x")})}),
               Catch::Contains("a message that the protocol does not have"));
}

TEST_CASE("an aborted stream throws the plugin's error") {
    Session session;
    session.plugin.incoming = {
        tuple({atom("stream_abort"), integer(1),
               map({{"code", atom("cancelled")}, {"message", binary("m")}})})};
    const auto error =
        error_of([&] { session.connection.receive_stream(1, 1s, [](std::string_view) {}); });
    CHECK(error.code() == ErrorCode::interrupted);
    CHECK(error.what() == std::string("m"));
    // It has no hint of its own.
    CHECK(error.hint() == "Look into the log of the broker.");
}

TEST_CASE("a stream that stalls or loses its connection is an error") {
    Session session;
    session.plugin.incoming = {data(1, 0, "x")};
    const auto error =
        error_of([&] { session.connection.receive_stream(1, 30ms, [](std::string_view) {}); });
    CHECK(error.what() ==
          std::string("the plugin sent nothing for 30 ms in the middle of a stream"));
    session.plugin.closed = true;
    CHECK_THROWS_WITH(session.connection.receive_stream(1, 1s, [](std::string_view) {}),
                      "the broker closed the connection");
}

TEST_CASE("pings do not keep a dead stream alive") {
    Session session;
    session.plugin.on_sent = [&](const Term&) { session.plugin.incoming.push_back(ping(1)); };
    session.plugin.incoming = {ping(1)};
    CHECK_THROWS_WITH(session.connection.receive_stream(1, 30ms, [](std::string_view) {}),
                      Catch::Contains("sent nothing for 30 ms"));
}

TEST_CASE("what the protocol does not have ends the session") {
    for (const auto& strange :
         {atom("reply"), tuple({atom("reply"), integer(1), atom("maybe"), map({})}),
          tuple({atom("reply"), integer(1), atom("ok"), list({})}),
          tuple({atom("reply"), atom("one"), atom("ok"), map({})}), hello({integer(1)}),
          tuple({atom("notice"), binary("cancel"), map({})}),
          tuple({atom("request"), integer(1), atom("soon"), atom("ping"), map({})}),
          tuple({atom("request"), Term(std::int64_t{-1}), integer(1), atom("ping"), map({})}),
          tuple({atom("ack"), integer(1), integer(1)}), list({})}) {
        Session session;
        session.plugin.incoming = {strange, reply(1, 0)};
        INFO(to_string(strange));
        CHECK_THROWS_WITH(session.connection.call("describe", {}, 1s),
                          Catch::Contains("a message that the protocol does not have"));
    }
}

TEST_CASE("a broken session stays broken, with the same error") {
    Session session;
    session.plugin.incoming = {backup_request(1)};
    session.connection.poll();
    std::string cause;
    SECTION("by a message that the protocol does not have") {
        session.plugin.incoming = {atom("what"), reply(1, 0), reply(2, 0), backup_request(2)};
        cause = error_of([&] { session.connection.call("describe", {}, 1s); }).what();
        CHECK_THAT(cause, Catch::Contains("a message that the protocol does not have: what"));
    }
    SECTION("by a message for a stream that nobody reads") {
        session.plugin.incoming = {tuple({atom("data"), integer(1), integer(0), atom("payload")}),
                                   backup_request(2)};
        cause = error_of([&] { session.connection.poll(); }).what();
        CHECK_THAT(cause, Catch::Contains("a message that the protocol does not have"));
    }
    SECTION("by bytes that are no message") {
        session.plugin.failure = Error(ErrorCode::failed, "malformed Erlang term at byte 0", "h");
        cause = error_of([&] { session.connection.poll(); }).what();
        CHECK(cause == "malformed Erlang term at byte 0");
    }
    session.plugin.failure.reset();
    session.plugin.closed = true;  // changes nothing: the cause is what was wrong first
    const auto sent = session.plugin.sent.size();
    const Request request{1, Clock::now(), "backup", {}};
    const std::vector<std::function<void()>> calls = {
        [&] { session.connection.next_request(); },
        [&] { session.connection.hello({}); },
        [&] { session.connection.call("describe", {}, 1s); },
        [&] { session.connection.notify("progress", {}); },
        [&] { session.connection.reply(request, {}); },
        [&] { session.connection.reply_error(request, Error(ErrorCode::failed, "m")); },
        [&] { session.connection.poll(); },
        [&] { session.connection.receive_stream(1, 1s, [](std::string_view) {}); },
    };
    for (const auto& call : calls) {
        const auto error = error_of(call);
        CHECK(error.what() == cause);
        CHECK_FALSE(error.hint().empty());
    }
    CHECK(session.plugin.sent.size() == sent);
}

TEST_CASE("the plugin's errors and the handlers' own do not break a session") {
    struct Refused {};
    Session session;
    session.connection.on_notice([](const std::string&, const Map&) { throw Refused(); });
    session.plugin.incoming = {tuple({atom("notice"), atom("cancel"), map({})})};
    CHECK_THROWS_AS(session.connection.poll(), Refused);
    session.plugin.incoming = {
        tuple({atom("reply"), integer(1), atom("error"), map({{"message", binary("busy")}})})};
    CHECK_THROWS_WITH(session.connection.call("describe", {}, 1s), "busy");
    CHECK_THROWS_AS(session.connection.call("describe", {}, 10ms), Error);
    session.plugin.incoming = {reply(3, 0)};
    CHECK_NOTHROW(session.connection.call("describe", {}, 1s));
}

TEST_CASE("the errors of waits have hints") {
    Session session;
    CHECK_THAT(error_of([&] { session.connection.call("describe", {}, 10ms); }).hint(),
               Catch::Contains("log of the broker"));
    session.plugin.incoming = {data(1, 1, "x")};
    const auto receive = [&] { session.connection.receive_stream(1, 1s, [](std::string_view) {}); };
    CHECK_THAT(error_of(receive).hint(), Catch::Contains("release"));
    session.plugin.incoming = {stream_end(1, 2, 0)};
    CHECK_THAT(error_of(receive).hint(), Catch::Contains("release"));
}
