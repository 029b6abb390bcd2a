#include "tests/harness/broker.hpp"

#include "erlang_port/error.hpp"
#include "tests/harness/amqp_client.hpp"

#include <catch2/catch.hpp>

#include <csignal>

using namespace harness;

TEST_CASE("a broker keeps its data over a crash and an orderly stop") {
    Broker broker({.hot_backup = false});
    AmqpClient(broker.amqp_port()).declare_queue("kept");
    // Mnesia's log, where there is one, is written with a delay: without this a crash may take the
    // queue with it.
    broker.eval("mnesia:system_info(is_running) =:= no orelse (ok = mnesia:sync_log()).");
    broker.kill9();
    CHECK_FALSE(broker.running());
    CHECK_FALSE(accepts_connections(broker.amqp_port()));
    broker.start();
    CHECK(broker.rabbitmqctl({"list_queues", "name"}).find("kept") != std::string::npos);
    broker.stop();
    CHECK_THAT(broker.log(), Catch::Contains("msg_store_persistent' is stopped"));
    CHECK(std::filesystem::exists(broker.data_directory()));
}

TEST_CASE("two brokers run side by side and end with their objects") {
    pid_t first_pid = 0;
    {
        const Broker first({.hot_backup = false});
        const Broker second({.hot_backup = false});
        first_pid = first.pid();
        CHECK(program_name(first_pid) == "beam.smp");
        CHECK(first.node() != second.node());
        CHECK(first.rabbitmqctl({"eval", "node()."}).find(first.node()) != std::string::npos);
        CHECK(second.rabbitmqctl({"eval", "node()."}).find(second.node()) != std::string::npos);
    }
    CHECK(program_name(first_pid).empty());
}

TEST_CASE("a broker that cannot start says why") {
    try {
        const Broker broker({.hot_backup = false, .configuration = "no.such.key = 1\n"});
        FAIL("it started");
    } catch (const hot_backup::Error& error) {
        CHECK_THAT(error.what(), Catch::Contains("no.such.key"));
    }
}

TEST_CASE("code is evaluated in the node") {
    const Broker broker({.hot_backup = false});
    CHECK(broker.call("erlang", "node", {}).is_atom(broker.node()));
    CHECK(broker.eval("X = <<\"grüße\"/utf8>>, F = fun(A) -> {A, X} end, F(1).") ==
          erlang::tuple({erlang::integer(1), erlang::binary("grüße")}));
    CHECK_THROWS_AS(broker.eval("1 +."), hot_backup::Error);
    CHECK_THROWS_AS(broker.eval("error(no)."), hot_backup::Error);
    CHECK_THROWS_AS(broker.eval("timer:sleep(5000).", std::chrono::milliseconds(50)),
                    hot_backup::Error);
    CHECK_THROWS_WITH(broker.rabbitmqctl({"delete_vhost", "no such"}),
                      Catch::Contains("no such") || Catch::Contains("failed"));
}
