#include "tests/transfer/two_brokers.hpp"

#include "erlang_port/node_channel.hpp"
#include "sidecar/engine/broker_snapshot.hpp"
#include "tests/harness/temp_dir.hpp"
#include "tests/harness/wait.hpp"

#include <memory>
#include <set>
#include <utility>

namespace transfer_tests {

using namespace std::chrono_literals;

harness::Broker& source_broker() {
    static harness::Broker broker;
    return broker;
}

harness::Broker& target_broker() {
    static harness::Broker broker;
    return broker;
}

hot_backup::Broker attach(const harness::Broker& broker, std::function<void()> interrupt) {
    // Asking the node anything leads this process to its epmd.
    broker.eval("ok.");
    return hot_backup::Broker(std::make_unique<erlang::NodeChannel>(erlang::NodeOptions{
                                  .node = broker.node(), .cookie = broker.cookie()}),
                              std::move(interrupt));
}

namespace {

hot_backup::TransferPlan make_plan(hot_backup::Broker& target,
                                   const std::vector<std::string>& queues,
                                   const std::optional<std::string>& as) {
    auto source = attach(source_broker());
    hot_backup::BrokerSnapshot stored(source);
    hot_backup::Snapshot snapshot(stored, hot_backup::SnapshotIndex::scan(stored));
    return plan_transfer(snapshot, source.identity().rabbitmq_version, target,
                         {.queues = queues, .vhosts = {}}, as);
}

hot_backup::TransferCallbacks complete(hot_backup::TransferCallbacks callbacks,
                                       std::vector<hot_backup::QueueOutcome>& outcomes) {
    if (!callbacks.progress) {
        callbacks.progress = [](const auto&, auto, auto) {};
    }
    if (!callbacks.blocked) {
        callbacks.blocked = [](const auto&) {};
    }
    callbacks.finished = [&](const auto& outcome) { outcomes.push_back(outcome); };
    return callbacks;
}

}  // namespace

hot_backup::TransferPlan make_plan(const std::vector<std::string>& queues,
                                   const std::optional<std::string>& as) {
    auto target = attach(target_broker());
    return make_plan(target, queues, as);
}

Transferred transfer(const std::vector<std::string>& queues, const Wishes& wishes) {
    Transferred result;
    auto target = attach(target_broker(), wishes.interrupt);
    auto source = attach(source_broker());
    result.plan = make_plan(target, queues, wishes.as);
    const harness::TempDir directory;
    hot_backup::Journal journal(
        wishes.journal.empty() ? directory.path() / "journal" : wishes.journal,
        {"backup", "source", target.identity().node, wishes.as.value_or("")});
    result.resumed = journal.resumed();
    declare_missing(result.plan, target, &journal);
    if (wishes.declared) {
        wishes.declared();
    }
    transfer_messages(
        result.plan,
        {{source, source_broker().amqp_port(), source_broker().data_directory() / "stream"}},
        target, journal, {}, complete(wishes.callbacks, result.outcomes));
    journal.remove();
    return result;
}

std::vector<harness::Delivery> consume_all(const harness::Broker& broker, const std::string& vhost,
                                           const std::string& queue,
                                           std::optional<std::size_t> stream_messages) {
    harness::AmqpClient client(broker.amqp_port(), vhost);
    const auto expected = stream_messages ? *stream_messages : count(broker, vhost, queue);
    harness::ConsumeOptions options;
    if (stream_messages) {
        options.arguments = {{"x-stream-offset", {std::string("first")}}};
    }
    client.consume(queue, 500, options);
    std::vector<harness::Delivery> deliveries;
    while (deliveries.size() < expected) {
        auto delivery = client.next_delivery(30s);
        if (!delivery) {
            throw hot_backup::Error(hot_backup::ErrorCode::failed,
                                    queue + " gave " + std::to_string(deliveries.size()) +
                                        " messages of " + std::to_string(expected));
        }
        client.acknowledge(delivery->tag);
        deliveries.push_back(std::move(*delivery));
    }
    if (client.next_delivery(200ms)) {
        throw hot_backup::Error(hot_backup::ErrorCode::failed, queue + " gave one message more");
    }
    return deliveries;
}

std::size_t count(const harness::Broker& broker, const std::string& vhost,
                  const std::string& queue) {
    const auto ready = broker.call("rabbit_amqqueue", "with",
                                   {erlang::tuple({erlang::atom("resource"), erlang::binary(vhost),
                                                   erlang::atom("queue"), erlang::binary(queue)}),
                                    broker.eval("fun rabbit_amqqueue:stat/1.")});
    return ready.element(1)->as_unsigned().value();
}

std::string body(std::size_t n) {
    return "message " + std::to_string(n) + std::string(n % 1000, '.');
}

void fill(const harness::Broker& broker, const std::string& vhost, const std::string& queue,
          const std::string& type, std::size_t messages) {
    harness::AmqpClient client(broker.amqp_port(), vhost);
    client.delete_queue(queue);
    client.declare_queue(queue, of_type(type));
    for (std::size_t n = 0; n < messages; ++n) {
        client.send("", queue, body(n));
    }
    wait_for_confirms(client, messages);
}

void wait_for_confirms(harness::AmqpClient& client, std::uint64_t sent) {
    std::set<std::uint64_t> confirmed;
    while (confirmed.size() < sent) {
        const auto event = client.next_event(30s);
        const auto& confirm = std::get<harness::Confirm>(event.value());
        if (confirm.multiple) {
            for (std::uint64_t n = 1; n < confirm.number; ++n) {
                confirmed.insert(n);
            }
        }
        confirmed.insert(confirm.number);
    }
}

harness::QueueOptions of_type(const std::string& type) {
    return {.arguments = {{"x-queue-type", {type}}}};
}

}  // namespace transfer_tests
