// Messages of every kind from one real broker into another.
#include "sidecar/transfer/live_definitions.hpp"
#include "tests/transfer/messages.hpp"
#include "tests/transfer/two_brokers.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

namespace {

using namespace transfer_tests;
using harness::AmqpClient;

TEST_CASE("messages arrive as a consumer of the source would have seen them") {
    for (const auto& type : harness::queue_types()) {
        CAPTURE(type);
        const std::string queue = "faithful." + type;
        const std::string exchange = "faithful." + type + ".exchange";
        AmqpClient client(source_broker().amqp_port());
        client.declare_exchange(exchange, "topic");
        client.declare_queue(queue, of_type(type));
        // A second queue with the same contents tells what a consumer sees.
        client.declare_queue(queue + ".copy", of_type(type));
        for (const auto& name : {queue, queue + ".copy"}) {
            client.bind_queue(name, exchange, "orders.#");
        }
        const auto sent = send_every_kind(client, exchange, type);
        const auto stream = type == "stream" ? std::optional(sent) : std::nullopt;
        const auto before = consume_all(source_broker(), "/", queue + ".copy", stream);
        REQUIRE(before.size() == sent);

        const auto done = transfer({"//" + queue});
        REQUIRE(done.outcomes.size() == 1);
        CHECK(done.outcomes[0].messages == sent);
        CHECK(done.outcomes[0].earlier == 0);
        check_same(before, consume_all(target_broker(), "/", queue, stream));
    }
}

TEST_CASE("only the named queue gets messages, behind what waits there") {
    for (const auto& type : {"classic", "quorum"}) {
        CAPTURE(type);
        const std::string queue = std::string("waiting.") + type;
        fill(source_broker(), "/", queue, type, 50);
        AmqpClient target(target_broker().amqp_port());
        target.declare_exchange("waiting", "fanout");
        for (const auto& name : {queue, queue + ".other"}) {
            target.declare_queue(name, of_type(type));
            target.bind_queue(name, "waiting", "");
            target.bind_queue(name, "amq.topic", "#");
        }
        target.publish("waiting", "", "first");
        target.publish("waiting", "", "second");

        transfer({"//" + queue});
        CHECK(count(target_broker(), "/", queue + ".other") == 2);
        const auto messages = consume_all(target_broker(), "/", queue);
        REQUIRE(messages.size() == 52);
        CHECK(messages[0].body == "first");
        CHECK(messages[1].body == "second");
        for (std::size_t n = 0; n < 50; ++n) {
            CHECK(messages[n + 2].body == body(n));
        }
    }
}

TEST_CASE("what is missing is declared, vhosts too, and what exists is left alone") {
    const std::string vhost = "käse/brot";
    for (auto* broker : {&source_broker(), &target_broker()}) {
        if (broker == &source_broker()) {
            broker->rabbitmqctl({"add_vhost", vhost});
            broker->rabbitmqctl({"set_permissions", "-p", vhost, "guest", ".*", ".*", ".*"});
            broker->rabbitmqctl(
                {"set_policy", "-p", vhost, "limits", "^or", R"({"max-length":100000})"});
        }
    }
    AmqpClient source(source_broker().amqp_port(), vhost);
    source.declare_exchange("in", "topic");
    source.declare_exchange("middle", "fanout",
                            {.arguments = {{"alternate-exchange", {std::string("lost")}}}});
    source.declare_exchange("lost", "fanout");
    source.declare_exchange("dead", "direct");
    source.declare_exchange("unrelated", "direct");
    source.bind_exchange("middle", "in", "a.#");
    const std::string queue = "orders/ñ";
    source.declare_queue(queue, {.arguments = {{"x-queue-type", {std::string("quorum")}},
                                               {"x-dead-letter-exchange", {std::string("dead")}}}});
    source.declare_queue("other");
    source.bind_queue(queue, "middle", "");
    source.bind_queue("other", "in", "#");
    source.publish("in", "a.b", "hello");

    transfer({vhost + "/" + queue});
    target_broker().rabbitmqctl({"set_permissions", "-p", vhost, "guest", ".*", ".*", ".*"});
    const auto messages = consume_all(target_broker(), vhost, queue);
    REQUIRE(messages.size() == 1);
    CHECK(messages[0].exchange == "in");
    CHECK(messages[0].routing_key == "a.b");
    // The bindings lead there.
    AmqpClient target(target_broker().amqp_port(), vhost);
    target.publish("in", "a.c", "new");
    CHECK(target.get(queue) == "new");
    const auto again = make_plan({vhost + "/" + queue});
    std::vector<std::string> kinds;
    for (const auto& finding : again.difference.findings) {
        CAPTURE(finding.kind, finding.name, finding.detail);
        CHECK(finding.state == hot_backup::DefinitionFinding::State::same);
        kinds.push_back(finding.kind + " " + finding.name);
    }
    CHECK(kinds == std::vector<std::string>{"vhost " + vhost, "queue " + queue, "policy limits",
                                            "exchange dead", "exchange in", "exchange lost",
                                            "exchange middle",
                                            "binding middle -> queue " + queue + " ()",
                                            "binding in -> exchange middle (a.#)"});
}

TEST_CASE("a queue comes back under another name, bound to nothing") {
    fill(source_broker(), "/", "renamed", "classic", 10);
    AmqpClient target(target_broker().amqp_port());
    target.declare_queue("renamed");
    AmqpClient(source_broker().amqp_port()).bind_queue("renamed", "amq.fanout", "");
    transfer({"//renamed"}, {.as = "renamed.review"});
    CHECK(count(target_broker(), "/", "renamed") == 0);
    CHECK(consume_all(target_broker(), "/", "renamed.review").size() == 10);
    target.publish("amq.fanout", "", "elsewhere");
    CHECK(count(target_broker(), "/", "renamed.review") == 0);
}

// Writes a batch of messages as a client of the stream protocol does. Each is the section of AMQP
// 1.0 that has the body.
void write_batch(const std::string& queue, const std::vector<std::string>& bodies,
                 int compression) {
    std::string entries;
    for (const auto& body : bodies) {
        const auto size = std::to_string(body.size());
        entries += (entries.empty() ? "" : ",") + std::string("0:1,(5+") + size +
                   "):31,0,16#53,16#75,16#A0," + size + ",\"" + body + "\"";
    }
    source_broker().eval("{ok, Q} = rabbit_amqqueue:lookup(rabbit_misc:r(<<\"/\">>, queue, <<\"" +
                         queue + "\">>)), Entries = <<" + entries +
                         ">>, osiris:write(amqqueue:get_pid(Q), undefined, 1, {batch, " +
                         std::to_string(bodies.size()) + ", " + std::to_string(compression) +
                         ", byte_size(Entries), Entries}).");
}

TEST_CASE("batches of a stream arrive as messages, and compressed ones are no silent loss") {
    if (!harness::has_streams()) {
        WARN("this RabbitMQ has no streams");
        return;
    }
    const std::string queue = "batches";
    fill(source_broker(), "/", queue, "stream", 10);
    write_batch(queue, {"a", "b", "c"}, 0);
    const auto done = transfer({"//" + queue});
    CHECK(done.outcomes.at(0).messages == 13);
    const auto messages = consume_all(target_broker(), "/", queue, 13);
    CHECK(messages.at(9).body == body(9));
    CHECK(messages.at(10).body == "a");
    CHECK(messages.at(12).body == "c");

    // The mark of the transfer is at 13.
    write_batch(queue, {"d", "e"}, 1);
    fill(source_broker(), "/", "batches.other", "classic", 10);
    AmqpClient(target_broker().amqp_port()).delete_queue(queue);
    CHECK_THROWS_WITH(transfer({"//batches*"}),
                      "queue batches in vhost / of the backup was not restored: 2 of its messages, "
                      "from offset 14 on, are in compressed batches");
    consume_all(target_broker(), "/", queue, 0);
    CHECK(count(target_broker(), "/", "batches.other") == 10);
}

TEST_CASE("a plan changes nothing") {
    fill(source_broker(), "/", "planned", "quorum", 10);
    const auto before = target_broker().rabbitmqctl({"export_definitions", "-"});
    const auto plan = make_plan({"//planned", "//faithful.*"});
    CHECK(plan.queues.size() > 1);
    CHECK(plan.difference.missing.contains("queues"));
    CHECK(target_broker().rabbitmqctl({"export_definitions", "-"}) == before);
    CHECK(count(source_broker(), "/", "planned") == 10);
}

TEST_CASE("a queue that its server has named is left out") {
    const std::string name = "amq.gen-1";
    source_broker().eval("rabbit_amqqueue:declare(rabbit_misc:r(<<\"/\">>, queue, <<\"" + name +
                         "\">>), true, false, [], none, <<\"guest\">>).");
    const auto plan = make_plan({"//" + name});
    CHECK(plan.queues.empty());
    REQUIRE(plan.left_out.size() == 1);
    CHECK(plan.left_out[0].queue.name == name);
    transfer({"//" + name}, {.as = "named by us"});
    CHECK(count(target_broker(), "/", "named by us") == 0);

    // RabbitMQ's import says nothing when it does not declare a queue.
    auto target = attach(target_broker());
    const hot_backup::OrderedJson definitions{
        {"queues",
         {{{"vhost", "/"},
           {"name", name},
           {"durable", true},
           {"arguments", hot_backup::OrderedJson::object()}}}}};
    CHECK_THROWS_WITH(hot_backup::import_definitions(target, definitions),
                      "queue " + name + " in vhost / was refused by RabbitMQ's import");
}

TEST_CASE("a target queue of another type is refused before anything is written") {
    fill(source_broker(), "/", "typed", "quorum", 10);
    fill(source_broker(), "/", "typed.other", "classic", 10);
    AmqpClient(target_broker().amqp_port()).declare_queue("typed", of_type("classic"));
    const auto before = target_broker().rabbitmqctl({"export_definitions", "-"});
    CHECK_THROWS_WITH(
        transfer({"//typed*"}),
        "queue typed in vhost / is a classic queue, in the backup it is a quorum queue");
    CHECK(target_broker().rabbitmqctl({"export_definitions", "-"}) == before);
}

}  // namespace
