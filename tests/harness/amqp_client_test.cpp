#include "tests/harness/amqp_client.hpp"

#include "erlang_port/error.hpp"
#include "tests/harness/broker.hpp"

#include <catch2/catch.hpp>

using namespace harness;
using namespace std::chrono_literals;

namespace {

Broker& plain_broker() {
    static Broker broker({.hot_backup = false});
    return broker;
}

}  // namespace

TEST_CASE("arguments of every type reach the broker") {
    AmqpClient client(plain_broker().amqp_port());
    const AmqpTable arguments{
        {"void", {AmqpVoid{}}},
        {"bool", {true}},
        {"i8", {std::int8_t{-8}}},
        {"u8", {std::uint8_t{200}}},
        {"i16", {std::int16_t{-1600}}},
        {"u16", {std::uint16_t{60000}}},
        {"i32", {std::int32_t{-320000}}},
        {"u32", {std::uint32_t{4000000000}}},
        {"i64", {std::int64_t{-64000000000}}},
        {"float", {1.5F}},
        {"double", {2.25}},
        {"decimal", {AmqpDecimal{2, 12345}}},
        {"timestamp", {AmqpTimestamp{1700000000}}},
        {"string", {std::string("grüße")}},
        {"bytes", {AmqpBytes{std::string("\0\xff", 2)}}},
        {"array", {AmqpArray{{std::string("a")}, {AmqpArray{{std::int32_t{1}}}}}}},
        {"table", {AmqpTable{{"inner", {AmqpTable{{"deep", {false}}}}}}}},
    };
    client.declare_queue("arguments", {.arguments = arguments});
    const std::string printed = plain_broker().rabbitmqctl(
        {"eval",
         "{ok, Q} = rabbit_amqqueue:lookup(rabbit_misc:r(<<\"/\">>, queue, <<\"arguments\">>)),"
         "lists:sort(amqqueue:get_arguments(Q))."});
    for (const char* expected :
         {"{<<\"void\">>,void,undefined}", "{<<\"bool\">>,bool,true}", "{<<\"i8\">>,byte,-8}",
          "{<<\"u8\">>,unsignedbyte,200}", "{<<\"i16\">>,short,-1600}",
          "{<<\"u16\">>,unsignedshort,60000}", "{<<\"i32\">>,signedint,-320000}",
          "{<<\"u32\">>,unsignedint,4000000000}", "{<<\"i64\">>,long,-64000000000}",
          "{<<\"float\">>,float,1.5}", "{<<\"double\">>,double,2.25}",
          "{<<\"decimal\">>,decimal,{2,12345}}", "{<<\"timestamp\">>,timestamp,1700000000}",
          "{<<\"bytes\">>,binary,<<0,255>>}", "[{longstr,<<\"a\">>},{array,[{signedint,1}]}]",
          "{<<\"table\">>,table,[{<<\"inner\">>,table,[{<<\"deep\">>,bool,false}]}]}"}) {
        std::string flat;
        for (const char c : printed) {
            if (c != ' ' && c != '\n') {
                flat += c;
            }
        }
        CHECK_THAT(flat, Catch::Contains(expected));
    }
}

TEST_CASE("a message goes through exchanges to a queue and back") {
    AmqpClient client(plain_broker().amqp_port());
    client.declare_exchange("front", "topic");
    client.declare_exchange("back", "fanout", {.internal = true});
    client.declare_queue("messages");
    client.bind_exchange("back", "front", "a.#");
    client.bind_queue("messages", "back", "");
    client.publish("front", "a.b", "one");
    client.publish("front", "b", "to nowhere");
    client.publish("front", "a", "two");
    CHECK(client.get("messages") == "one");
    client.consume("messages", 10);
    const auto delivery = client.next_delivery(5s);
    REQUIRE(delivery);
    CHECK(delivery->body == "two");
    CHECK_FALSE(delivery->redelivered);
    client.acknowledge(delivery->tag);
    CHECK_FALSE(client.next_delivery(50ms));
}

TEST_CASE("what the broker refuses is an error") {
    AmqpClient client(plain_broker().amqp_port());
    SECTION("with an answer awaited") {
        CHECK_THROWS_WITH(client.bind_queue("no such queue", "amq.direct", "k"),
                          Catch::Contains("no such queue"));
    }
    SECTION("without waiting") {
        client.send_without_waiting();
        client.declare_queue("first");
        client.bind_queue("no such queue", "amq.direct", "k");
        CHECK_THROWS_WITH(client.sync(), Catch::Contains("no such queue"));
    }
    SECTION("at the login") {
        CHECK_THROWS_AS(AmqpClient(plain_broker().amqp_port(), "no such vhost"), hot_backup::Error);
    }
}
