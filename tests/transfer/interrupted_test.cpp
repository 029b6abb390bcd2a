// Transfers that are cut off or held up, and go on.
#include "erlang_port/error.hpp"
#include "sidecar/engine/fields.hpp"
#include "sidecar/transfer/delivery.hpp"
#include "sidecar/transfer/queue_reader.hpp"
#include "tests/harness/temp_dir.hpp"
#include "tests/harness/wait.hpp"
#include "tests/transfer/two_brokers.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <csignal>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

namespace {

using namespace transfer_tests;
using namespace std::chrono_literals;
using harness::AmqpClient;

constexpr std::size_t many = 20'000;

struct CutOff {};

// Throws once so many messages are on their way.
hot_backup::TransferCallbacks cut_off_after(std::uint64_t messages) {
    hot_backup::TransferCallbacks callbacks;
    callbacks.progress = [messages](const auto&, std::uint64_t done, auto) {
        if (done == messages) {
            throw CutOff{};
        }
    };
    return callbacks;
}

std::vector<std::string> bodies(const std::string& type, const std::string& queue,
                                std::size_t expected) {
    std::vector<std::string> result;
    const auto stream = type == "stream" ? std::optional(expected) : std::nullopt;
    for (auto& delivery : consume_all(target_broker(), "/", queue, stream)) {
        result.push_back(std::move(delivery.body));
    }
    return result;
}

std::vector<std::string> all_bodies() {
    std::vector<std::string> result;
    for (std::size_t n = 0; n < many; ++n) {
        result.push_back(body(n));
    }
    return result;
}

// What the plugin remembers of deliveries goes, as when the node is restarted.
void forget_deliveries() {
    target_broker().eval(
        "[supervisor:terminate_child(rabbit_hot_backup_delivery_sup, Id) || {Id, _, _, _} <- "
        "supervisor:which_children(rabbit_hot_backup_delivery_sup)], ok.");
}

// "suspend" or "resume": the process of a classic queue of the target.
void tell_process(const std::string& queue, const std::string& what) {
    target_broker().eval("{ok, Q} = rabbit_amqqueue:lookup(rabbit_misc:r(<<\"/\">>, queue, <<\"" +
                         queue + "\">>)), sys:" + what + "(amqqueue:get_pid(Q)).");
}

TEST_CASE("a transfer that was cut off goes on where it was, and nothing comes twice") {
    for (const auto& type : harness::queue_types()) {
        CAPTURE(type);
        const harness::TempDir directory;
        const auto queue = "cut." + type;
        const auto journal = directory.path() / "journal";
        for (const std::uint64_t messages : {1500U, 7U, 9001U}) {
            fill(source_broker(), "/", queue, type, many);
            CHECK_THROWS_AS(transfer({"//" + queue},
                                     {.journal = journal, .callbacks = cut_off_after(messages)}),
                            CutOff);
        }
        fill(source_broker(), "/", queue, type, many);
        const auto done = transfer({"//" + queue}, {.journal = journal});
        CHECK(done.resumed);
        REQUIRE(done.outcomes.size() == 1);
        CHECK(done.outcomes[0].messages == many);
        CHECK(done.outcomes[0].earlier > 8000);
        CHECK(done.outcomes[0].doubtful_begin == done.outcomes[0].doubtful_end);
        CHECK((bodies(type, queue, many) == all_bodies()));
    }
}

TEST_CASE("where the target has forgotten, what may have come twice is said") {
    const harness::TempDir directory;
    const auto journal = directory.path() / "journal";
    fill(source_broker(), "/", "forgotten", "classic", many);
    CHECK_THROWS_AS(
        transfer({"//forgotten"}, {.journal = journal, .callbacks = cut_off_after(9000)}), CutOff);
    forget_deliveries();
    fill(source_broker(), "/", "forgotten", "classic", many);
    // The run that finds the doubt does not come to say so.
    CHECK_THROWS_AS(transfer({"//forgotten"}, {.journal = journal, .callbacks = cut_off_after(7)}),
                    CutOff);
    fill(source_broker(), "/", "forgotten", "classic", many);
    const auto outcome = transfer({"//forgotten"}, {.journal = journal}).outcomes.at(0);
    CHECK(outcome.doubtful_begin == outcome.earlier);
    CHECK(outcome.doubtful_end > outcome.doubtful_begin);
    CHECK(outcome.doubtful_end <= 9000 + 1000);

    auto found = bodies("classic", "forgotten", 0);
    CHECK(found.size() > many);
    CHECK(found.size() <= many + (outcome.doubtful_end - outcome.doubtful_begin));
    std::sort(found.begin(), found.end());
    found.erase(std::unique(found.begin(), found.end()), found.end());
    CHECK(found.size() == many);
}

TEST_CASE("a source that gives other messages than at the first attempt is noticed") {
    const harness::TempDir directory;
    const auto journal = directory.path() / "journal";
    fill(source_broker(), "/", "other", "classic", many);
    CHECK_THROWS_AS(transfer({"//other"}, {.journal = journal, .callbacks = cut_off_after(9000)}),
                    CutOff);
    fill(source_broker(), "/", "other", "quorum", 0);
    AmqpClient client(source_broker().amqp_port());
    client.delete_queue("other");
    client.declare_queue("other");
    for (std::size_t n = 0; n < many; ++n) {
        client.send("", "other", body(n + 1));
    }
    wait_for_confirms(client, many);
    CHECK_THROWS_WITH(transfer({"//other"}, {.journal = journal}),
                      Catch::Contains("gives other messages than at the first attempt"));
}

TEST_CASE("a source that is too busy to take a connection is tried again") {
    fill(source_broker(), "/", "busy", "classic", 10);
    const auto vm = source_broker().pid();
    const std::shared_ptr<void> resume(nullptr, [vm](void*) { ::kill(vm, SIGCONT); });
    REQUIRE(::kill(vm, SIGSTOP) == 0);
    int waits = 0;
    hot_backup::QueueReader reader({source_broker().amqp_port(), "guest", "guest"}, {"/", "busy"},
                                   "classic", 10, [&] {
                                       ++waits;
                                       ::kill(vm, SIGCONT);
                                   });
    CHECK(waits == 1);
    CHECK(reader.next().value().body == body(0));
}

TEST_CASE("a memory alarm of the target is waited for") {
    fill(source_broker(), "/", "alarmed", "classic", many);
    hot_backup::TransferCallbacks callbacks;
    std::vector<std::vector<std::string>> alarms;
    bool set = false;
    callbacks.progress = [&](const auto&, std::uint64_t done, auto) {
        if (done > 3000 && !set) {
            set = true;
            target_broker().eval("vm_memory_monitor:set_vm_memory_high_watermark(0.000001).");
            harness::wait_for("the alarm", 10s, [] {
                return target_broker().eval("rabbit_alarm:get_alarms() =/= [].").is_atom("true");
            });
        }
    };
    callbacks.blocked = [&](const std::vector<std::string>& reasons) {
        alarms.push_back(reasons);
        if (!reasons.empty()) {
            target_broker().eval("vm_memory_monitor:set_vm_memory_high_watermark(0.6).");
        }
    };
    const auto done = transfer({"//alarmed"}, {.callbacks = callbacks});
    CHECK(alarms == std::vector<std::vector<std::string>>{{"memory"}, {}});
    CHECK((bodies("classic", "alarmed", many) == all_bodies()));
}

TEST_CASE("a target queue that is deleted meanwhile is one clear error") {
    for (const std::string type : {"classic", "quorum"}) {
        CAPTURE(type);
        const harness::TempDir directory;
        const auto queue = "deleted." + type;
        const auto journal = directory.path() / "journal";
        fill(source_broker(), "/", queue, type, many);
        hot_backup::TransferCallbacks callbacks;
        callbacks.progress = [&](const auto&, std::uint64_t done, auto) {
            if (done == 5000) {
                AmqpClient(target_broker().amqp_port()).delete_queue(queue);
            }
        };
        CHECK_THROWS_WITH(transfer({"//" + queue}, {.journal = journal, .callbacks = callbacks}),
                          Catch::Contains(queue));
        // It is declared again, and gets all.
        fill(source_broker(), "/", queue, type, many);
        const auto done = transfer({"//" + queue}, {.journal = journal});
        CHECK(done.outcomes.at(0).earlier == 0);
        CHECK((bodies(type, queue, many) == all_bodies()));
    }
}

TEST_CASE("a target queue that its application deletes and declares anew gets all") {
    for (const auto& type : harness::queue_types()) {
        CAPTURE(type);
        const harness::TempDir directory;
        const auto queue = "anew." + type;
        const auto journal = directory.path() / "journal";
        fill(source_broker(), "/", queue, type, many);
        CHECK_THROWS_AS(
            transfer({"//" + queue}, {.journal = journal, .callbacks = cut_off_after(9000)}),
            CutOff);
        fill(target_broker(), "/", queue, type, 0);
        fill(source_broker(), "/", queue, type, many);
        const auto outcome = transfer({"//" + queue}, {.journal = journal}).outcomes.at(0);
        CHECK(outcome.earlier == 0);
        CHECK(outcome.doubtful_begin == outcome.doubtful_end);
        CHECK((bodies(type, queue, many) == all_bodies()));
    }
}

TEST_CASE("a restore that is cut off right after it declared a queue anew knows that it is new") {
    for (const std::string type : {"classic", "quorum"}) {
        CAPTURE(type);
        const harness::TempDir directory;
        const auto queue = "declared." + type;
        const auto journal = directory.path() / "journal";
        fill(source_broker(), "/", queue, type, many);
        CHECK_THROWS_AS(
            transfer({"//" + queue}, {.journal = journal, .callbacks = cut_off_after(9000)}),
            CutOff);
        AmqpClient(target_broker().amqp_port()).delete_queue(queue);
        forget_deliveries();
        CHECK_THROWS_AS(
            transfer({"//" + queue}, {.journal = journal, .declared = [] { throw CutOff{}; }}),
            CutOff);
        fill(source_broker(), "/", queue, type, many);
        const auto outcome = transfer({"//" + queue}, {.journal = journal}).outcomes.at(0);
        CHECK(outcome.earlier == 0);
        CHECK(outcome.doubtful_begin == outcome.doubtful_end);
        CHECK((bodies(type, queue, many) == all_bodies()));
    }
}

TEST_CASE("so does one that had all, and one whose delivery the target has forgotten") {
    const harness::TempDir directory;
    const auto journal = directory.path() / "journal";
    const auto fill_source = [] {
        for (const auto* queue : {"whole.a", "whole.b"}) {
            fill(source_broker(), "/", queue, "quorum", many);
        }
    };
    fill_source();
    CHECK_THROWS_AS(
        transfer({"//whole.*"}, {.journal = journal, .callbacks = cut_off_after(many + 9000)}),
        CutOff);
    forget_deliveries();
    for (const auto* queue : {"whole.a", "whole.b"}) {
        fill(target_broker(), "/", queue, "quorum", 0);
    }
    fill_source();
    for (const auto& outcome : transfer({"//whole.*"}, {.journal = journal}).outcomes) {
        CHECK(outcome.earlier == 0);
        CHECK((bodies("quorum", outcome.move.to.name, many) == all_bodies()));
    }
}

TEST_CASE("a queue that rejects is one clear error, and nothing is lost or doubled") {
    // Before RabbitMQ 3.9 a quorum queue at its maximum length drops messages, whatever it is told.
    const bool can_reject = harness::tested_version() >= hot_backup::RabbitmqVersion{3, 9, 0};
    for (const auto& type : can_reject ? std::vector<std::string>{"classic", "quorum"}
                                       : std::vector<std::string>{"classic"}) {
        CAPTURE(type);
        const harness::TempDir directory;
        const auto queue = "full." + type;
        const auto journal = directory.path() / "journal";
        fill(source_broker(), "/", queue, type, many);
        target_broker().rabbitmqctl({"set_policy", "full", "^full", "--apply-to", "queues",
                                     R"({"max-length":4000,"overflow":"reject-publish"})"});
        CHECK_THROWS_WITH(transfer({"//" + queue}, {.journal = journal}),
                          Catch::Contains("rejected a message"));
        target_broker().rabbitmqctl({"clear_policy", "full"});
        fill(source_broker(), "/", queue, type, many);
        const auto done = transfer({"//" + queue}, {.journal = journal});
        CHECK(done.outcomes.at(0).earlier > 0);
        auto found = bodies(type, queue, many);
        auto expected = all_bodies();
        std::sort(found.begin(), found.end());
        std::sort(expected.begin(), expected.end());
        CHECK((found == expected));
    }
}

TEST_CASE("what a queue has not confirmed stays uncertain over any number of sessions") {
    AmqpClient(target_broker().amqp_port()).declare_queue("stuck");
    const auto begin = [] {
        // The end of the session before is noticed when it is.
        std::optional<hot_backup::Delivery> delivery;
        auto target = attach(target_broker());
        harness::wait_for("the delivery", 1min, [&] {
            try {
                delivery.emplace(target, "t", hot_backup::QueueName{"/", "stuck"}, 0,
                                 hot_backup::DeliveryCallbacks{[](auto) {}, [](auto) {}, {}});
            } catch (const hot_backup::Error& error) {
                if (std::string(error.what()).find("another session") == std::string::npos) {
                    throw;
                }
                return false;
            }
            return true;
        });
        return std::tuple(delivery->remembered(), delivery->position(), delivery->uncertain());
    };
    tell_process("stuck", "suspend");
    {
        auto target = attach(target_broker());
        hot_backup::Delivery delivery(target, "t", {"/", "stuck"}, 0,
                                      {[](auto) {}, [](auto) {}, {}});
        for (int n = 0; n < 4; ++n) {
            // Each is a batch, and goes when the next one comes.
            delivery.add({"", "stuck", std::string(2, '\0'), std::string(800'000, 'x')});
        }
    }
    using Expected = std::tuple<bool, std::uint64_t, std::uint64_t>;
    CHECK(begin() == Expected(true, 0, 3));
    CHECK(begin() == Expected(true, 0, 3));
    tell_process("stuck", "resume");
}

TEST_CASE("a queue that stands still keeps no request waiting, and then gets all in order") {
    AmqpClient(target_broker().amqp_port()).declare_queue("still");
    auto target = attach(target_broker());
    const auto deliver = [&](std::size_t position, std::size_t messages) {
        std::vector<erlang::Term> batch;
        for (std::size_t n = 0; n < messages; ++n) {
            batch.push_back(erlang::tuple({erlang::binary(""), erlang::binary("still"),
                                           erlang::binary(std::string(2, '\0')),
                                           erlang::binary(body(position + n))}));
        }
        return hot_backup::MapFields(
                   "answer",
                   target.call("deliver",
                               {{{erlang::atom("transfer"), erlang::binary("t")},
                                 {erlang::atom("vhost"), erlang::binary("/")},
                                 {erlang::atom("queue"), erlang::binary("still")},
                                 {erlang::atom("position"), erlang::integer(position)},
                                 {erlang::atom("messages"), erlang::list(std::move(batch))}}},
                               30s))
            .count("taken");
    };
    target.call("deliver_begin",
                {{{erlang::atom("transfer"), erlang::binary("t")},
                  {erlang::atom("vhost"), erlang::binary("/")},
                  {erlang::atom("queue"), erlang::binary("still")},
                  {erlang::atom("position"), erlang::integer(0)}}},
                10s);
    tell_process("still", "suspend");
    // More than a queue takes before it has worked any of it off.
    CHECK(deliver(0, 1000) == 1000);
    CHECK(deliver(1000, 1000) == 0);
    CHECK(deliver(1000, 1000) == 0);
    tell_process("still", "resume");
    CHECK(deliver(1000, 1000) == 1000);
    harness::wait_for("all messages", 1min,
                      [] { return count(target_broker(), "/", "still") == 2000; });
    const auto found = bodies("classic", "still", 0);
    REQUIRE(found.size() == 2000);
    for (std::size_t n = 0; n < found.size(); ++n) {
        REQUIRE(found[n] == body(n));
    }
}

TEST_CASE("a delivery that another session does is not taken over") {
    AmqpClient(target_broker().amqp_port()).declare_queue("owned");
    auto first = attach(target_broker());
    auto second = attach(target_broker());
    const auto arguments = [](const char* operation, hot_backup::Broker& broker) {
        return broker.call(operation,
                           {{{erlang::atom("transfer"), erlang::binary("t")},
                             {erlang::atom("vhost"), erlang::binary("/")},
                             {erlang::atom("queue"), erlang::binary("owned")},
                             {erlang::atom("position"), erlang::integer(0)}}},
                           10s);
    };
    arguments("deliver_begin", first);
    CHECK_THROWS_WITH(arguments("deliver_begin", second), Catch::Contains("another session"));
}

}  // namespace
