#include "tests/exactness/ledger.hpp"

namespace exactness {

Time now() {
    return std::chrono::time_point_cast<std::chrono::microseconds>(
        std::chrono::system_clock::now());
}

std::string to_string(const QueueName& queue) {
    return queue.name + " in " + queue.vhost;
}

void Ledger::sending(const QueueName& queue, std::uint64_t id, bool survives_restart) {
    const std::lock_guard lock(mutex_);
    Queue& its = queues_[queue];
    its.records.insert_or_assign(id, Record{survives_restart, now(), {}, {}});
    ++its.backlog;
}

void Ledger::confirmed(const QueueName& queue, std::uint64_t id) {
    const std::lock_guard lock(mutex_);
    queues_.at(queue).records.at(id).confirmed = now();
    ++confirms_;
}

void Ledger::acknowledging(const QueueName& queue, std::uint64_t id) {
    const std::lock_guard lock(mutex_);
    Queue& its = queues_.at(queue);
    its.records.at(id).acknowledged = now();
    --its.backlog;
}

void Ledger::deleting(const QueueName& queue) {
    const std::lock_guard lock(mutex_);
    const Time time = now();
    deletions_.emplace(queue, time);
    Queue& its = queues_[queue];
    for (auto& [id, record] : its.records) {
        if (!record.acknowledged) {
            record.acknowledged = time;
        }
    }
    its.backlog = 0;
}

std::size_t Ledger::backlog(const QueueName& queue) const {
    const std::lock_guard lock(mutex_);
    const auto found = queues_.find(queue);
    return found == queues_.end() ? 0 : found->second.backlog;
}

std::uint64_t Ledger::confirms() const {
    const std::lock_guard lock(mutex_);
    return confirms_;
}

std::map<QueueName, Records> Ledger::records() const {
    const std::lock_guard lock(mutex_);
    std::map<QueueName, Records> all;
    for (const auto& [name, queue] : queues_) {
        all.emplace(name, queue.records);
    }
    return all;
}

std::map<QueueName, Time> Ledger::deletions() const {
    const std::lock_guard lock(mutex_);
    return deletions_;
}

}  // namespace exactness
