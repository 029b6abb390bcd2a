#include "sidecar/transfer/transfer.hpp"

#include "erlang_port/error.hpp"
#include "sidecar/capture/rate_limiter.hpp"
#include "sidecar/repository/checksum.hpp"
#include "sidecar/repository/random_uuid.hpp"
#include "sidecar/transfer/compressed_batches.hpp"
#include "sidecar/transfer/delivery.hpp"
#include "sidecar/transfer/live_definitions.hpp"
#include "sidecar/transfer/queue_reader.hpp"
#include "sidecar/transfer/source_contents.hpp"

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <set>

namespace hot_backup {
namespace {

// How many messages are skipped between two looks at the target and at interrupts.
constexpr std::uint64_t look_up_every = 1000;

// A user of the source's for us, on whichever port: nobody knows the passwords of those that it
// has.
AmqpAddress admit(Broker& source, const TransferPlan& plan) {
    const AmqpAddress address{0, "rabbitmq-hot-backup-" + random_uuid(), random_uuid()};
    OrderedJson definitions;
    definitions["users"] = OrderedJson::array(
        {{{"name", address.user}, {"password", address.password}, {"tags", "administrator"}}});
    std::set<std::string> vhosts;
    for (const auto& queue : plan.queues) {
        vhosts.insert(queue.move.from.vhost);
    }
    for (const auto& vhost : vhosts) {
        definitions["permissions"].push_back({{"user", address.user},
                                              {"vhost", vhost},
                                              {"configure", ".*"},
                                              {"write", ".*"},
                                              {"read", ".*"}});
    }
    import_definitions(source, definitions);
    return address;
}

void keep_alive(const TransferSource& source) {
    for (const auto& node : source) {
        node.broker.keep_alive();
    }
}

class Summer {
public:
    MessageSum of(const Message& message) {
        checksum_.reset();
        for (const auto* part :
             {&message.exchange, &message.routing_key, &message.properties, &message.body}) {
            checksum_.update(*part);
        }
        const auto digest = checksum_.digest();
        MessageSum sum;
        for (std::size_t n = 0; n < 8; ++n) {
            sum.high = sum.high << 8U | digest.bytes[n];
            sum.low = sum.low << 8U | digest.bytes[n + 8];
        }
        return sum;
    }

private:
    Checksum checksum_;
};

class Transfer {
public:
    Transfer(const TransferPlan& plan, const TransferSource& source, Broker& target,
             Journal& journal, const TransferOptions& options, const TransferCallbacks& callbacks)
        : source_(source),
          contents_(list_contents(plan, source)),
          address_(admit(source.front().broker, plan)),
          target_(target),
          journal_(journal),
          limiter_(options.rate_limit),
          callbacks_(callbacks) {}

    void run(const PlannedQueue& queue) {
        if (is_out_of_reach(queue) || has_compressed_batches(queue)) {
            return;
        }
        const auto& to = queue.move.to;
        entry_ = journal_.find(to);
        auto delivery = begin_delivery(to);
        if (delivery->deleted() || is_other(delivery->identity())) {
            journal_.forget(to);
            entry_ = journal_.find(to);
            delivery->end();
            delivery = begin_delivery(to);
        }
        check_type(queue, *delivery);
        if (!delivery->identity().empty()) {
            entry_.identity = delivery->identity();
        }
        outcome_ = {queue.move, queue.type, entry_.confirmed, entry_.confirmed, 0, 0};
        if (entry_.done) {
            delivery->end();
        } else {
            move_messages(queue, *delivery);
        }
        outcome_.doubtful_begin = entry_.doubtful_begin;
        outcome_.doubtful_end = entry_.doubtful_end;
        callbacks_.finished(outcome_);
    }

    // Names the first stream that got nothing.
    void throw_if_left_out() const {
        if (left_out_) {
            throw *left_out_;
        }
    }

private:
    bool is_out_of_reach(const PlannedQueue& queue) {
        const auto& nodes = contents_.at(queue.move.from).out_of_reach;
        if (!nodes.empty() && !left_out_) {
            std::string list;
            for (const auto& node : nodes) {
                list += (list.empty() ? "" : ", ") + node;
            }
            left_out_.emplace(
                ErrorCode::failed,
                describe(queue.move.from) +
                    " of the backup was not restored: too few of its nodes are in the backup (" +
                    list + ")",
                "Bring it from a backup that has them. " + others_are_complete());
        }
        return !nodes.empty();
    }

    std::string others_are_complete() const {
        return "All other queues are complete, as the journal " + journal_.path() +
               " remembers: remove it before you bring any of them again.";
    }

    bool has_compressed_batches(const PlannedQueue& queue) {
        if (queue.type != "stream") {
            return false;
        }
        const auto& contents = contents_.at(queue.move.from);
        const auto found = find_compressed_batches(contents.node->streams / contents.directory);
        if (found && !left_out_) {
            left_out_.emplace(
                ErrorCode::failed,
                describe(queue.move.from) + " of the backup was not restored: " +
                    std::to_string(found->messages) + " of its messages, from offset " +
                    std::to_string(found->first_offset) + " on, are in compressed batches",
                std::string(
                    "RabbitMQ gives these to clients of the stream protocol only. Restore the node "
                    "with --target-dir and copy the stream with such a client. ") +
                    others_are_complete());
        }
        return found.has_value();
    }

    // A place in the queue, and the sum of all messages before it.
    struct Boundary {
        std::uint64_t position = 0;
        MessageSum sum;
    };

    std::unique_ptr<Delivery> begin_delivery(const QueueName& to) {
        return std::make_unique<Delivery>(
            target_, entry_.transfer, to, entry_.confirmed,
            DeliveryCallbacks{[this, &to](std::uint64_t end) { note_sending(to, end); },
                              [this](std::uint64_t position) { note_confirmed(position); },
                              callbacks_.blocked});
    }

    bool is_other(const std::string& identity) const {
        return !identity.empty() && !entry_.identity.empty() && identity != entry_.identity;
    }

    void move_messages(const PlannedQueue& queue, Delivery& delivery) {
        const auto& to = queue.move.to;
        note_doubt(to, delivery);
        const auto& contents = contents_.at(queue.move.from);
        address_.port = contents.node->amqp_port;
        QueueReader reader(address_, queue.move.from, queue.type, contents.messages,
                           [this] { look_up(); });

        here_ = before_ = {};
        sent_.clear();
        skip(reader, queue.move.from, delivery.position());
        while (auto message = reader.next()) {
            before_ = here_;
            here_.sum.add(summer_.of(*message));
            ++here_.position;
            const auto size = message->size();
            throttle(size);
            delivery.add(std::move(*message));
            ++messages_;
            bytes_ += size;
            callbacks_.progress(queue, messages_, bytes_);
        }
        delivery.finish();
        entry_.done = true;
        entry_.sent = entry_.confirmed = outcome_.messages = here_.position;
        entry_.sum = here_.sum;
        journal_.write(to, entry_);
    }

    static void check_type(const PlannedQueue& queue, const Delivery& delivery) {
        if (delivery.type() != queue.type && !(delivery.type() == "quorum" && queue.mirrored)) {
            throw Error(ErrorCode::failed,
                        describe(queue.move.to) + " is a " + delivery.type() +
                            " queue, in the backup it is a " + queue.type + " queue",
                        "It was made just now, by somebody else or by the default of its vhost. "
                        "Delete it, or restore under another name with --as.");
        }
    }

    // The target remembers from now on, and a later run hears of no doubt: it is written at once.
    void note_doubt(const QueueName& queue, const Delivery& delivery) {
        const auto begin = delivery.position();
        const auto end = delivery.remembered() ? begin + delivery.uncertain() : entry_.sent;
        outcome_.earlier = begin;
        if (begin >= end) {
            return;
        }
        const bool first = entry_.doubtful_begin == entry_.doubtful_end;
        entry_.doubtful_begin = first ? begin : std::min(entry_.doubtful_begin, begin);
        entry_.doubtful_end = std::max(entry_.doubtful_end, end);
        journal_.write(queue, entry_);
    }

    // What the target has already. The backup is booted anew: that it gives the same messages first
    // is seen by their sum.
    void skip(QueueReader& reader, const QueueName& queue, std::uint64_t count) {
        while (here_.position < count) {
            check_sum(queue);
            const auto message = reader.next();
            if (!message) {
                throw_other_messages(queue);
            }
            here_.sum.add(summer_.of(*message));
            if (++here_.position % look_up_every == 0) {
                look_up();
            }
        }
        check_sum(queue);
    }

    void check_sum(const QueueName& queue) const {
        if (here_.position == entry_.confirmed && here_.sum != entry_.sum) {
            throw_other_messages(queue);
        }
    }

    [[noreturn]] void throw_other_messages(const QueueName& queue) const {
        throw Error(ErrorCode::failed,
                    describe(queue) +
                        " of the backup gives other messages than at the first "
                        "attempt, so what is delivered already cannot be skipped",
                    "Empty the target's queue, remove the journal " + journal_.path() +
                        ", and start again.");
    }

    void note_sending(const QueueName& queue, std::uint64_t end) {
        // A batch ends before the message at hand, or with it.
        sent_.push_back(end == here_.position ? here_ : before_);
        // Behind a run that was cut off, messages are sent that were sent before.
        entry_.sent = std::max(entry_.sent, end);
        journal_.write(queue, entry_);
    }

    void note_confirmed(std::uint64_t position) {
        while (!sent_.empty() && sent_.front().position <= position) {
            entry_.confirmed = sent_.front().position;
            entry_.sum = sent_.front().sum;
            sent_.pop_front();
        }
    }

    void throttle(std::size_t bytes) {
        for (std::size_t left = bytes; left > 0; left -= limiter_.take(left)) {
            if (left < bytes) {
                look_up();
            }
        }
    }

    void look_up() {
        keep_alive(source_);
        target_.look_up();
    }

    const TransferSource& source_;
    AllContents contents_;
    AmqpAddress address_;
    Broker& target_;
    Journal& journal_;
    RateLimiter limiter_;
    const TransferCallbacks& callbacks_;
    Summer summer_;
    QueueJournal entry_;
    QueueOutcome outcome_;
    Boundary here_;              // behind the message at hand
    Boundary before_;            // before it
    std::deque<Boundary> sent_;  // ends of batches that are not confirmed
    std::uint64_t messages_ = 0;
    std::uint64_t bytes_ = 0;
    std::optional<Error> left_out_;
};

}  // namespace

void transfer_messages(const TransferPlan& plan, const TransferSource& source, Broker& target,
                       Journal& journal, const TransferOptions& options,
                       const TransferCallbacks& callbacks) {
    Transfer transfer(plan, source, target, journal, options, callbacks);
    // The source's connections are kept alive while the target is waited for.
    target.on_wait([&] { keep_alive(source); });
    try {
        for (const auto& queue : plan.queues) {
            transfer.run(queue);
        }
        transfer.throw_if_left_out();
    } catch (...) {
        target.on_wait({});
        throw;
    }
    target.on_wait({});
}

}  // namespace hot_backup
