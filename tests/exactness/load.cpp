#include "tests/exactness/load.hpp"

#include "erlang_port/error.hpp"
#include "tests/harness/amqp_client.hpp"
#include "tests/harness/wait.hpp"

namespace exactness {

using harness::AmqpClient;
using harness::has_streams;
using harness::QueueOptions;
using hot_backup::Error;
using hot_backup::ErrorCode;
using namespace std::chrono_literals;

namespace {

const std::string vhost = "/";
const QueueName priority_queue{vhost, "priority"};
const QueueName lazy_queue{vhost, "lazy"};
const QueueName slow_queue{vhost, "slow"};
const QueueName passing_queue{vhost, "not durable"};

// Nobody takes from it. Without streams a lazy queue takes their place.
QueueName kept_queue() {
    return {vhost, has_streams() ? "3 stream" : "3 kept"};
}

QueueOptions of_type(const std::string& type) {
    return {.arguments = {{"x-queue-type", {type}}}};
}

void declare_queues(const Surroundings& surroundings) {
    const auto declare = [&](const QueueName& queue, const QueueOptions& options = {}) {
        AmqpClient client(surroundings.place_of(queue).amqp_port());
        client.declare_queue(queue.name, options);
    };
    QueueOptions stream = of_type("stream");
    stream.arguments.push_back({"x-stream-max-segment-size-bytes", {std::int32_t{500'000}}});
    const QueueOptions lazy{.arguments = {{"x-queue-mode", {std::string("lazy")}}}};
    declare({vhost, "1 classic"});
    declare({vhost, "1 quorum"}, of_type("quorum"));
    declare({vhost, "2 quorum"}, of_type("quorum"));
    declare({vhost, "2 classic v2"}, {.arguments = {{"x-queue-version", {std::int32_t{2}}}}});
    declare({vhost, "3 classic"});
    declare(kept_queue(), has_streams() ? stream : lazy);
    declare(priority_queue, {.arguments = {{"x-max-priority", {std::int32_t{5}}}}});
    declare(lazy_queue, lazy);
    declare(slow_queue);
    declare(passing_queue, {.durable = false});
    AmqpClient client(surroundings.brokers.front()->amqp_port());
    client.bind_queue(slow_queue.name, "amq.topic", "slow.#");
    client.bind_queue(passing_queue.name, "amq.topic", "passing.#");
}

}  // namespace

harness::BrokerOptions small_files() {
    harness::BrokerOptions options;
    options.configuration =
        "raft.wal_max_size_bytes = 2000000\n"
        "raft.segment_max_entries = 256\n";
    // From 4.3 on quorum queues have limits of their own for their files.
    options.application_settings = {
        {"rabbit",
         {"{msg_store_file_size_limit,400000}", "{quorum_wal_max_size_bytes,2000000}",
          "{quorum_segment_max_entries,256}"}}};
    return options;
}

Load::Load(const harness::Broker& broker, const LoadOptions& options)
    : Load(std::vector{&broker}, options) {}

Load::Load(std::vector<const harness::Broker*> nodes, const LoadOptions& options)
    : pipelines_{{{vhost, "1 classic"}, {vhost, "1 quorum"}},
                 {{vhost, "2 quorum"}, {vhost, "2 classic v2"}},
                 {{vhost, "3 classic"}, kept_queue()}},
      surroundings_{std::move(nodes), ledger_, gate_, last_id_} {
    if (harness::tested_version() < hot_backup::RabbitmqVersion{4, 0, 0}) {
        surroundings_.brokers.front()->rabbitmqctl(
            {"set_policy", "mirrored", "^" + slow_queue.name + "$", R"({"ha-mode":"all"})"});
    }
    declare_queues(surroundings_);
    start_pipelines(options);
    start_queues(options);
    if (surroundings_.brokers.size() > 1) {
        start([this](std::stop_token stop) {
            move_leaders(surroundings_, {pipelines_[0].to, pipelines_[1].from}, moved_leaders_,
                         stop);
        });
    }
    if (options.metadata) {
        start([this](std::stop_token stop) { change_queues(surroundings_, stop); });
        start([this](std::stop_token stop) { change_vhosts(surroundings_, stop); });
    }
}

Load::~Load() {
    for (std::jthread& client : clients_) {
        client.request_stop();
    }
}

void Load::start(Client client) {
    clients_.emplace_back([this, client = std::move(client)](std::stop_token stop) {
        try {
            client(stop);
        } catch (const Error& error) {
            const std::lock_guard lock(mutex_);
            failure_ = error.what();
        }
    });
}

void Load::start_pipelines(const LoadOptions& options) {
    // The publisher is faster than the one who moves its messages: so there are always some in the
    // first queue that are about to go to the second.
    constexpr std::size_t most_waiting = 400;
    for (const Pipeline& pipeline : pipelines_) {
        start([=, this](std::stop_token stop) {
            publish(surroundings_, {pipeline.from, 2 * options.bytes_per_second, most_waiting},
                    stop);
        });
        start([=, this](std::stop_token stop) {
            consume(surroundings_, {pipeline.from, 0, pipeline.to, options.bytes_per_second}, stop);
        });
    }
    // The stream keeps what it got.
    for (const Pipeline& pipeline : {pipelines_[0], pipelines_[1]}) {
        start([=, this](std::stop_token stop) {
            consume(surroundings_, {pipeline.to, options.held}, stop);
        });
    }
}

void Load::start_queues(const LoadOptions& options) {
    Publishing publishing{.queue = slow_queue,
                          .bytes_per_second = options.bytes_per_second,
                          .most_waiting = 3 * options.held};
    const auto start_queue = [&](const QueueName& queue) {
        publishing.queue = queue;
        start([=, this](std::stop_token stop) { publish(surroundings_, publishing, stop); });
        start([=, this](std::stop_token stop) {
            consume(surroundings_, {publishing.queue, options.held}, stop);
        });
    };
    start_queue(slow_queue);
    publishing.transient_share = 0.2;
    start_queue(lazy_queue);
    publishing.highest_priority = 5;
    start_queue(priority_queue);
    publishing.bytes_per_second /= 10;
    publishing.queue_is_durable = false;
    start_queue(passing_queue);
}

void Load::check_failure() const {
    const std::lock_guard lock(mutex_);
    if (!failure_.empty()) {
        throw Error(ErrorCode::failed, "a client of the load has failed: " + failure_);
    }
}

void Load::pause() {
    gate_.close();
    check_failure();
}

void Load::run_for(std::uint64_t confirms) {
    const std::uint64_t wanted = ledger_.confirms() + confirms;
    harness::wait_for("confirms", 60s, [&] {
        check_failure();
        return ledger_.confirms() >= wanted;
    });
}

}  // namespace exactness
