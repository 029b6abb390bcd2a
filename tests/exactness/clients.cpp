#include "tests/exactness/clients.hpp"

#include "erlang_port/error.hpp"
#include "tests/exactness/message.hpp"
#include "tests/harness/amqp_client.hpp"

#include <algorithm>
#include <cmath>
#include <deque>
#include <map>
#include <random>
#include <vector>

namespace exactness {

using harness::AmqpClient;
using harness::Confirm;
using harness::Delivery;
using harness::Event;
using hot_backup::Error;
using hot_backup::ErrorCode;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

namespace {

// How many messages of a publisher may be without a confirm.
constexpr std::size_t most_unconfirmed = 200;

using Random = std::mt19937_64;

// As many of 100 to 200 bytes as of 32 to 64 KiB.
std::size_t random_size(Random& random) {
    std::uniform_real_distribution<double> exponent(std::log(double{smallest_body}),
                                                    std::log(double{largest_body}));
    return static_cast<std::size_t>(std::exp(exponent(random)));
}

// What was published on a channel and waits for its confirm.
template <class Message>
class Unconfirmed {
public:
    void add(std::uint64_t number, Message message) { messages_.emplace(number, message); }
    std::size_t size() const { return messages_.size(); }

    std::vector<Message> settle(const Confirm& confirm) {
        if (confirm.refused) {
            throw Error(ErrorCode::failed, "the broker refused a message");
        }
        const auto end = messages_.upper_bound(confirm.number);
        auto begin = confirm.multiple ? messages_.begin() : messages_.find(confirm.number);
        std::vector<Message> settled;
        for (; begin != end; begin = messages_.erase(begin)) {
            settled.push_back(begin->second);
        }
        return settled;
    }

private:
    std::map<std::uint64_t, Message> messages_;
};

// When the next message is due, so that there are so many bytes a second.
class Pace {
public:
    explicit Pace(double bytes_per_second) : bytes_per_second_(bytes_per_second) {}

    Clock::time_point due() const { return due_; }

    void count(std::size_t bytes) {
        // What was not done in time, during a pause for example, is not made up for.
        due_ = std::max(due_, Clock::now() - 100ms);
        due_ += std::chrono::duration_cast<Clock::duration>(
            std::chrono::duration<double>(static_cast<double>(bytes) / bytes_per_second_));
    }

private:
    const double bytes_per_second_;
    Clock::time_point due_ = Clock::now();
};

std::chrono::milliseconds until(Clock::time_point time) {
    return std::max(std::chrono::ceil<std::chrono::milliseconds>(time - Clock::now()), 0ms);
}

}  // namespace

const harness::Broker& Surroundings::place_of(const QueueName& queue) const {
    return *brokers.at(std::hash<std::string>()(queue.name) % brokers.size());
}

void publish(const Surroundings& surroundings, const Publishing& publishing, std::stop_token stop) {
    Ledger& ledger = surroundings.ledger;
    Gate::Member member(surroundings.gate);
    AmqpClient client(surroundings.place_of(publishing.queue).amqp_port(), publishing.queue.vhost);
    Random random(std::hash<std::string>()(publishing.queue.name));
    std::bernoulli_distribution is_transient(publishing.transient_share);
    std::uniform_int_distribution<int> priority(0, publishing.highest_priority);
    Unconfirmed<std::uint64_t> unconfirmed;
    Pace pace(publishing.bytes_per_second);
    while (member.pass(stop)) {
        while (pace.due() <= Clock::now() && unconfirmed.size() < most_unconfirmed &&
               ledger.backlog(publishing.queue) < publishing.most_waiting) {
            const std::string body = make_body(++surroundings.last_id, random_size(random));
            const std::uint64_t id = *id_of(body);
            const bool persistent = !is_transient(random);
            ledger.sending(publishing.queue, id, persistent && publishing.queue_is_durable);
            const std::uint64_t number =
                client.send("", publishing.queue.name, body,
                            {persistent, static_cast<std::uint8_t>(priority(random))});
            unconfirmed.add(number, id);
            pace.count(body.size());
        }
        const auto enough =
            Clock::now() + std::clamp<Clock::duration>(pace.due() - Clock::now(), 1ms, 20ms);
        while (const auto event = client.next_event(until(enough))) {
            for (const std::uint64_t id : unconfirmed.settle(std::get<Confirm>(*event))) {
                ledger.confirmed(publishing.queue, id);
            }
        }
    }
}

namespace {

struct Taken {
    std::uint64_t id = 0;
    std::uint64_t tag = 0;
};

// What was delivered and not acknowledged.
class Held {
public:
    void add(Taken taken) { messages_.push_back(taken); }
    std::size_t size() const { return messages_.size(); }

    Taken take_any(Random& random) {
        std::uniform_int_distribution<std::size_t> any(0, messages_.size() - 1);
        std::swap(messages_[any(random)], messages_.back());
        const Taken taken = messages_.back();
        messages_.pop_back();
        return taken;
    }

private:
    std::vector<Taken> messages_;
};

Taken taken_of(const Delivery& delivery, const QueueName& queue) {
    const auto id = id_of(delivery.body);
    if (!id || delivery.redelivered) {
        throw Error(ErrorCode::failed, "the running broker delivered a message of " +
                                           to_string(queue) +
                                           (id ? " a second time" : " that is damaged"));
    }
    return {*id, delivery.tag};
}

}  // namespace

void consume(const Surroundings& surroundings, const Consuming& consuming, std::stop_token stop) {
    Ledger& ledger = surroundings.ledger;
    Gate::Member member(surroundings.gate);
    AmqpClient client(surroundings.place_of(consuming.queue).amqp_port(), consuming.queue.vhost);
    client.consume(consuming.queue.name,
                   static_cast<std::uint16_t>(consuming.held + most_unconfirmed));
    Random random(std::hash<std::string>()(consuming.queue.name));
    Unconfirmed<Taken> moving;
    Held held;
    Pace pace(consuming.bytes_per_second);
    while (member.pass(stop)) {
        member.rest(stop, pace.due());
        const std::optional<Event> event = client.next_event(20ms);
        if (!event) {
            continue;
        }
        if (const auto* confirm = std::get_if<Confirm>(&*event)) {
            for (const Taken& moved : moving.settle(*confirm)) {
                ledger.confirmed(*consuming.move_to, moved.id);
                held.add(moved);
            }
        } else {
            const auto& delivery = std::get<Delivery>(*event);
            pace.count(delivery.body.size());
            const Taken taken = taken_of(delivery, consuming.queue);
            if (consuming.move_to) {
                ledger.sending(*consuming.move_to, taken.id);
                moving.add(client.send("", consuming.move_to->name, delivery.body), taken);
            } else {
                held.add(taken);
            }
        }
        while (held.size() > consuming.held) {
            const Taken done = held.take_any(random);
            ledger.acknowledging(consuming.queue, done.id);
            client.acknowledge(done.tag);
        }
    }
}

namespace {

// How many of the queues, or of the virtual hosts, that come and go are there at a time.
constexpr std::size_t most_standing = 5;

void publish_some(const Surroundings& surroundings, AmqpClient& client, const QueueName& queue) {
    for (int n = 0; n < 3; ++n) {
        const std::uint64_t id = ++surroundings.last_id;
        surroundings.ledger.sending(queue, id);
        client.publish("", queue.name, make_body(id, 1000));
        surroundings.ledger.confirmed(queue, id);
    }
}

harness::QueueOptions changing_type(unsigned n) {
    switch (n % 8) {
        case 3:
            return {.arguments = {{"x-queue-type", {std::string("quorum")}}}};
        case 5:
            return {.arguments = {{"x-queue-version", {std::int32_t{2}}}}};
        default:
            return {};
    }
}

}  // namespace

void change_queues(const Surroundings& surroundings, std::stop_token stop) {
    Gate::Member member(surroundings.gate);
    AmqpClient client(surroundings.brokers.front()->amqp_port());
    std::deque<QueueName> standing;
    for (unsigned n = 0; member.pass(stop); ++n) {
        const QueueName& queue = standing.emplace_back("/", "changing " + std::to_string(n));
        client.declare_queue(queue.name, changing_type(n));
        client.bind_queue(queue.name, "amq.topic", "a.#." + std::to_string(n));
        publish_some(surroundings, client, queue);
        if (standing.size() > most_standing) {
            surroundings.ledger.deleting(standing.front());
            client.delete_queue(standing.front().name);
            standing.pop_front();
        }
        member.rest(stop, Clock::now() + 200ms);
    }
}

void change_vhosts(const Surroundings& surroundings, std::stop_token stop) {
    const harness::Broker& broker = *surroundings.brokers.back();
    const erlang::Term user = erlang::binary("guest");
    const erlang::Term all = erlang::binary(".*");
    Gate::Member member(surroundings.gate);
    std::deque<QueueName> standing;
    for (unsigned n = 0; member.pass(stop); ++n) {
        const QueueName& queue = standing.emplace_back("vhost " + std::to_string(n), "queue");
        const erlang::Term vhost = erlang::binary(queue.vhost);
        broker.call("rabbit_vhost", "add", {vhost, user});
        broker.call("rabbit_auth_backend_internal", "set_permissions",
                    {user, vhost, all, all, all, user});
        AmqpClient client(broker.amqp_port(), queue.vhost);
        client.declare_queue(queue.name);
        publish_some(surroundings, client, queue);
        if (standing.size() > most_standing) {
            surroundings.ledger.deleting(standing.front());
            broker.call("rabbit_vhost", "delete", {erlang::binary(standing.front().vhost), user});
            standing.pop_front();
        }
        member.rest(stop, Clock::now() + 700ms);
    }
}

void move_leaders(const Surroundings& surroundings, const std::vector<QueueName>& queues,
                  std::atomic<std::uint64_t>& moved, std::stop_token stop) {
    Gate::Member member(surroundings.gate);
    while (member.pass(stop)) {
        for (const auto& queue : queues) {
            // While one is being elected there is no leader.
            const auto has_moved = surroundings.place_of(queue).eval(
                "{ok, Queue} = rabbit_amqqueue:lookup(rabbit_misc:r(<<\"" + queue.vhost +
                "\">>, queue, <<\"" + queue.name +
                "\">>)), {Name, _} = amqqueue:get_pid(Queue), "
                "case ra:members({Name, node()}) of "
                "{ok, Members, Leader} when Leader =/= undefined -> "
                "Others = Members -- [Leader], "
                "Next = lists:nth(rand:uniform(length(Others)), Others), "
                "ra:transfer_leadership(Leader, Next) =:= ok; "
                "_ -> false end.");
            moved += has_moved.is_atom("true") ? 1 : 0;
        }
        member.rest(stop, std::chrono::steady_clock::now() + 300ms);
    }
}

}  // namespace exactness
