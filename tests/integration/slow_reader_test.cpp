// A slow disk slows the backup, not the broker, and costs it no memory.
#include "erlang_port/node_channel.hpp"
#include "sidecar/engine/broker.hpp"
#include "tests/harness/amqp_client.hpp"
#include "tests/integration/support.hpp"

#include <catch2/catch.hpp>

using namespace harness;
using namespace integration;

TEST_CASE("while a reader stands still the broker declares queues and keeps its memory") {
    Broker& broker = loaded_broker();
    hot_backup::Broker session(std::make_unique<erlang::NodeChannel>(
        erlang::NodeOptions{.node = broker.node(), .cookie = broker.cookie()}));
    const auto job = session.begin_job("/nowhere", std::nullopt);
    session.begin_checkpoint();

    constexpr int queues = 20;
    probe(broker, "watch_memory");
    unsigned messages = 0;
    const auto counts = session.stream_checkpoint([&](std::string_view) {
        // The session reads nothing until this returns.
        if (++messages != 4) {
            return;
        }
        AmqpClient client(broker.amqp_port());
        for (int n = 0; n < queues; ++n) {
            client.declare_queue("while it stands still " + std::to_string(n));
        }
    });
    const auto growth = probe(broker, "peak_growth").as_unsigned().value();
    session.end_checkpoint();
    session.end_job(job.number, {"slow", counts.bytes, nullptr});

    REQUIRE(counts.bytes > ballast_bytes);
    REQUIRE(messages > 20);
    // The window, the batches in hand and the queues themselves; of Khepri, a copy of the store,
    // too.
    const bool copied = metadata_store(broker) == "khepri";
    CHECK(growth < (copied ? ballast_bytes : ballast_bytes / 4));
    AmqpClient client(broker.amqp_port());
    for (int n = 0; n < queues; ++n) {
        client.delete_queue("while it stands still " + std::to_string(n));
    }
}
