#include "sidecar/transfer/delivery.hpp"

#include "sidecar/engine/fields.hpp"

#include <string_view>
#include <utility>

namespace hot_backup {
namespace {

using erlang::Term;
using namespace std::chrono_literals;

// A request to the plugin is at most 1 MiB long (docs/protocol.md): what the terms add to the
// messages has to fit, too.
constexpr std::size_t batch_limit = 768 * 1024;
// A longer body goes in parts.
constexpr std::size_t part_size = batch_limit / 2;
constexpr std::size_t messages_limit = 1000;
constexpr std::size_t overhead = 64;  // of a message in a request
// The plugin answers in seconds whatever the queue does.
constexpr auto answer_time = 60s;
// How long a queue may confirm nothing.
constexpr auto stall = 5min;
// How often the target is asked whether it takes messages again.
constexpr auto alarm_poll = 500ms;

}  // namespace

Delivery::Delivery(Broker& target, std::string transfer, QueueName queue, std::uint64_t position,
                   DeliveryCallbacks callbacks)
    : target_(target),
      transfer_(std::move(transfer)),
      queue_(std::move(queue)),
      callbacks_(std::move(callbacks)) {
    auto asked = arguments();
    asked.emplace_back("position", erlang::integer(position));
    const auto result = target_.call("deliver_begin", make_map(std::move(asked)), answer_time);
    const MapFields fields("answer to deliver_begin", result);
    type_ = fields.text("type");
    identity_ = fields.text("identity");
    deleted_ = fields.atom("deleted") == "true";
    first_ = next_ = confirmed_ = fields.count("position");
    remembered_ = fields.atom("known") == "true";
    uncertain_ = fields.count("uncertain");
}

std::vector<std::pair<std::string_view, Term>> Delivery::arguments() const {
    return {{"transfer", erlang::binary(transfer_)},
            {"vhost", erlang::binary(queue_.vhost)},
            {"queue", erlang::binary(queue_.name)}};
}

void Delivery::add(Message message) {
    const auto size = message.size() + overhead;
    // Parts go ahead of the first message of a batch.
    if (!batch_.empty() && (batch_bytes_ + size > batch_limit || message.body.size() > part_size)) {
        send_batch();
    }
    send_parts(message.body);
    batch_bytes_ += message.size() + overhead;
    batch_.push_back(erlang::tuple({erlang::Binary{std::move(message.exchange)},
                                    erlang::Binary{std::move(message.routing_key)},
                                    erlang::Binary{std::move(message.properties)},
                                    erlang::Binary{std::move(message.body)}}));
    if (batch_.size() == messages_limit || batch_bytes_ >= batch_limit) {
        send_batch();
    }
}

// What of a body does not fit into a request goes ahead of it.
void Delivery::send_parts(std::string& body) {
    std::string_view rest = body;
    while (rest.size() > part_size) {
        const auto part = rest.substr(0, part_size);
        auto asked = arguments();
        asked.emplace_back("position", erlang::integer(next_));
        asked.emplace_back("body", erlang::binary(part));
        target_.call("deliver_part", make_map(std::move(asked)), answer_time);
        rest.remove_prefix(part.size());
    }
    body.erase(0, body.size() - rest.size());
}

void Delivery::send_batch() {
    const auto end = next_ + batch_.size();
    callbacks_.sending(end);
    const auto messages = erlang::list(std::exchange(batch_, {}));
    batch_bytes_ = 0;
    for (;;) {
        const auto progress = deliver(messages);
        if (progress.taken) {
            break;
        }
        wait_for_alarms(progress.alarms);
        throw_if_stalled();
    }
    next_ = end;
    if (std::exchange(blocked_, false)) {
        callbacks_.blocked({});
    }
}

Delivery::Progress Delivery::deliver(const Term& messages) {
    auto asked = arguments();
    asked.emplace_back("position", erlang::integer(next_));
    asked.emplace_back("messages", messages);
    const auto result = target_.call("deliver", make_map(std::move(asked)), answer_time);
    const MapFields fields("answer to deliver", result);
    Progress progress;
    progress.taken = fields.count("taken") > 0;
    for (const auto& alarm : fields.list("alarms")) {
        if (const auto* name = alarm.as<erlang::Binary>()) {
            progress.alarms.push_back(name->bytes);
        }
    }
    note(fields.count("confirmed"));
    return progress;
}

void Delivery::note(std::uint64_t confirmed) {
    if (confirmed != confirmed_) {
        confirmed_ = confirmed;
        progressed_ = Clock::now();
        callbacks_.confirmed(confirmed);
    }
}

void Delivery::wait_for_alarms(const std::vector<std::string>& alarms) {
    if (alarms.empty()) {
        return;
    }
    if (!std::exchange(blocked_, true)) {
        callbacks_.blocked(alarms);
    }
    target_.wait(alarm_poll);
    // An alarm is no fault of the queue.
    progressed_ = Clock::now();
}

void Delivery::throw_if_stalled() const {
    if (Clock::now() - progressed_ > stall) {
        throw Error(ErrorCode::failed,
                    describe(queue_) + " has confirmed no message for five minutes",
                    "See whether the queue has a leader and its node a working disk, then start "
                    "the restore again.");
    }
}

void Delivery::finish() {
    if (!batch_.empty()) {
        send_batch();
    }
    progressed_ = Clock::now();
    while (confirmed_ < next_) {
        deliver(erlang::list({}));
        throw_if_stalled();
    }
    end();
}

void Delivery::end() {
    target_.call("deliver_end", make_map(arguments()), answer_time);
}

}  // namespace hot_backup
