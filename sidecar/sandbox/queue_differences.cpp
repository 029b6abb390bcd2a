#include "sidecar/sandbox/queue_differences.hpp"

#include "sidecar/definitions/text.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

namespace hot_backup {
namespace {

using Name = std::pair<std::string, std::string>;  // vhost, queue

constexpr std::uint64_t many_messages = 100'000;

// Messages that survive a restart, as far as the node told.
std::optional<std::uint64_t> messages_of(const QueueStatistics& queue) {
    if (queue.persistent) {
        return queue.persistent;
    }
    if (!queue.ready || !queue.unacknowledged) {
        return std::nullopt;
    }
    return *queue.ready + *queue.unacknowledged;
}

std::uint64_t messages_of(const ServedQueue& queue) {
    return queue.ready.value_or(0) + queue.unacknowledged.value_or(0);
}

class Comparison {
public:
    Comparison(const ExpectedQueues& expected, const ReportDifference& report)
        : expected_(expected), report_(report) {
        for (const auto& vhost : expected.vhosts) {
            for (const auto& queue : vhost.queues) {
                queues_.emplace(Name(vhost.name, queue.statistics.name), &queue);
            }
        }
    }

    void compare(const ServedQueue& served) {
        const Name name(replace_invalid_utf8(served.vhost), replace_invalid_utf8(served.name));
        const auto known = queues_.find(name);
        if (known == queues_.end()) {
            return;
        }
        ++totals_.queues;
        if (!served.running()) {
            report(name, "state", "running", served.state);
        } else if (served.type == "stream") {
            ++totals_.streams;
            compare_stream(name, served);
        } else {
            totals_.messages += messages_of(served);
            compare_messages(name, known->second->statistics, served);
        }
    }

    const QueueTotals& totals() const noexcept { return totals_; }

private:
    void report(const Name& name, const char* aspect, Json expected, Json found,
                std::string excuse = {}) {
        report_({"queue", name.first, name.second, aspect, std::move(expected), std::move(found),
                 std::move(excuse)});
    }

    void compare_stream(const Name& name, const ServedQueue& served) {
        const auto files = expected_.streams.find(served.directory);
        if (files == expected_.streams.end()) {
            report(name, "directory", served.directory, nullptr);
            return;
        }
        const auto compare = [&](const char* aspect, std::uint64_t StreamOffsets::*offset,
                                 std::optional<std::uint64_t> found) {
            const auto wanted = files->second ? std::optional((*files->second).*offset)
                                              : std::optional<std::uint64_t>();
            if (wanted != found) {
                report(name, aspect, wanted ? Json(*wanted) : Json(),
                       found ? Json(*found) : Json());
            }
        };
        compare("first_offset", &StreamOffsets::first, served.first_offset);
        compare("last_offset", &StreamOffsets::last, served.last_offset);
    }

    void compare_messages(const Name& name, const QueueStatistics& statistics,
                          const ServedQueue& served) {
        const auto wanted = messages_of(statistics);
        if (!wanted) {
            ++totals_.uncounted;
            return;
        }
        const auto found = messages_of(served);
        if (*wanted != found) {
            // Seconds may move a count, but they hardly take all of many.
            const bool emptied = found == 0 && *wanted >= many_messages;
            report(name, "messages", *wanted, found,
                   emptied ? std::string() : excuse_of(name, statistics, served));
        }
    }

    std::string excuse_of(const Name& name, const QueueStatistics& statistics,
                          const ServedQueue& served) const {
        const bool quorum = served.type == "quorum";
        const auto last_write = quorum ? expected_.last_writes.quorum : last_write_of_classic(name);
        const bool written = last_write && expected_.counted - *last_write < quiet_time;
        // A classic queue keeps what nobody waits for a confirm of to itself until it has nothing
        // else to do.
        const bool resting = quorum || statistics.idle_since.has_value();
        if (!written && resting) {
            return {};
        }
        return std::string(quorum ? "messages of quorum queues were" : "its messages were") +
               " coming or going when the node was backed up, whose counts are some seconds old";
    }

    std::optional<Timestamp> last_write_of_classic(const Name& name) const {
        const auto& known = expected_.last_writes.classic;
        const auto found = known.find(name);
        return found == known.end() ? std::nullopt : std::optional(found->second);
    }

    const ExpectedQueues& expected_;
    const ReportDifference& report_;
    std::map<Name, const StoredQueue*> queues_;
    QueueTotals totals_;
};

}  // namespace

QueueTotals find_queue_differences(const ExpectedQueues& expected,
                                   const std::vector<ServedQueue>& served,
                                   const ReportDifference& report) {
    Comparison comparison(expected, report);
    for (const auto& queue : served) {
        comparison.compare(queue);
    }
    return comparison.totals();
}

}  // namespace hot_backup
