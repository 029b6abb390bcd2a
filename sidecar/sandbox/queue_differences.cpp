#include "sidecar/sandbox/queue_differences.hpp"

#include "sidecar/definitions/text.hpp"

#include <algorithm>
#include <functional>
#include <iterator>
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

Name name_of(const ServedQueue& queue) {
    return {replace_invalid_utf8(queue.vhost), replace_invalid_utf8(queue.name)};
}

// A replica of a stream.
struct Replica {
    const NodeFiles* node = nullptr;
    const ServedQueue* served = nullptr;  // where it runs
    std::string state;                    // as ServedQueue's
    bool has_files = false;
    std::optional<StreamOffsets> files;
};

std::optional<std::uint64_t> last_of(const Replica& replica) {
    return replica.files ? std::optional(replica.files->last) : std::nullopt;
}

class Comparison {
public:
    Comparison(const ExpectedQueues& expected, const std::vector<ServedNode>& served,
               const ReportDifference& report)
        : expected_(expected), served_(served), report_(report) {
        for (const auto& node : served) {
            for (const auto& queue : node.queues) {
                if (queue.type == "stream") {
                    streams_[name_of(queue)][node.node] = &queue;
                }
            }
        }
        for (const auto& vhost : expected.vhosts) {
            for (const auto& queue : vhost.queues) {
                queues_.emplace(Name(vhost.name, queue.statistics.name), &queue);
            }
        }
    }

    void compare(const ServedQueue& served) {
        const auto name = name_of(served);
        const auto known = queues_.find(name);
        if (known == queues_.end()) {
            return;
        }
        ++totals_.queues;
        if (served.type == "stream") {
            compare_stream(name, served);
        } else if (!served.running()) {
            report_state(name, served);
        } else {
            totals_.messages += messages_of(served);
            compare_messages(name, known->second->statistics, served);
        }
    }

    const QueueTotals& totals() const noexcept { return totals_; }

private:
    void report(const Name& name, const char* aspect, Json expected, Json found,
                std::string excuse = {}, const std::string& node = {}) {
        report_({"queue", name.first, name.second, aspect, std::move(expected), std::move(found),
                 std::move(excuse), expected_.nodes.size() > 1 ? node : std::string()});
    }

    void report_state(const Name& name, const ServedQueue& served) {
        std::string excuse;
        if (expected_.is_out_of_reach(served)) {
            ++totals_.out_of_reach;
            excuse = "too few of its nodes are in the backup:";
            for (const auto& node : served.nodes) {
                excuse += ' ' + node;
            }
        }
        report(name, "state", "running", served.state, std::move(excuse));
    }

    void compare_stream(const Name& name, const ServedQueue& asked_first) {
        const auto replicas = replicas_of(name);
        const auto runs = [](const Replica& replica) { return replica.served != nullptr; };
        const auto running = std::ranges::find_if(replicas, runs);
        if (running == replicas.end()) {
            report_state(name, asked_first);
            return;
        }
        ++totals_.streams;
        for (const auto& replica : replicas) {
            const auto& node = replica.node->node;
            totals_.nodes[node].replicas += runs(replica) ? 1U : 0U;
            if (!runs(replica) && replica.has_files) {
                report(name, "state", "running", replica.state, {}, node);
            }
        }
        if (std::ranges::none_of(replicas, &Replica::has_files)) {
            report(name, "directory", running->served->directory, nullptr);
            return;
        }
        compare_first(name, replicas);
        compare_last(name, replicas);
    }

    std::vector<Replica> replicas_of(const Name& name) const {
        const auto& served = streams_.at(name);
        std::vector<Replica> replicas;
        for (const auto& node : expected_.nodes) {
            const auto here = served.find(node.node);
            if (here == served.end()) {
                continue;
            }
            Replica replica;
            replica.node = &node;
            replica.served = here->second->running() ? here->second : nullptr;
            replica.state = here->second->state;
            const auto files = node.streams.find(here->second->directory);
            if (files != node.streams.end()) {
                replica.has_files = true;
                replica.files = files->second;
            }
            replicas.push_back(replica);
        }
        return replicas;
    }

    // A replica that ends before another one begins is filled anew.
    void compare_first(const Name& name, const std::vector<Replica>& replicas) {
        std::uint64_t latest_first = 0;
        bool empty = true;
        for (const auto& replica : replicas) {
            latest_first =
                std::max(latest_first, replica.files ? replica.files->first : std::uint64_t{0});
            empty = empty && !replica.files;
        }
        for (const auto& replica : replicas) {
            const bool filled_anew = replica.files ? replica.files->last < latest_first : !empty;
            if (replica.served == nullptr || filled_anew) {
                continue;
            }
            const auto wanted = replica.files ? std::optional(replica.files->first) : std::nullopt;
            compare_offset(name, "first_offset", wanted, replica.served->first_offset,
                           replica.node->node);
        }
    }

    void compare_last(const Name& name, std::vector<Replica> replicas) {
        std::optional<std::uint64_t> found;
        for (const auto& replica : replicas) {
            if (replica.served != nullptr) {
                found = std::max(found, replica.served->last_offset);
            }
        }
        std::erase_if(replicas, [](const Replica& replica) { return !replica.has_files; });
        std::ranges::sort(replicas, std::ranges::greater(), last_of);
        const auto longest = last_of(replicas.front());
        const auto confirmed = last_of(replicas[replicas.size() / 2]);
        if (found < confirmed || found > longest) {
            compare_offset(name, "last_offset", found < confirmed ? confirmed : longest, found, {});
        }
    }

    void compare_offset(const Name& name, const char* aspect, std::optional<std::uint64_t> wanted,
                        std::optional<std::uint64_t> found, const std::string& node) {
        if (wanted != found) {
            report(name, aspect, wanted ? Json(*wanted) : Json(), found ? Json(*found) : Json(), {},
                   node);
        }
    }

    void compare_messages(const Name& name, const QueueStatistics& statistics,
                          const ServedQueue& served) {
        const auto wanted = messages_of(statistics);
        if (!wanted) {
            ++totals_.uncounted;
            return;
        }
        const auto found = messages_of(served);
        const auto counted_by = expected_.counted_by.find(name);
        const auto node =
            counted_by == expected_.counted_by.end() ? std::string() : counted_by->second;
        auto& totals = totals_.nodes[node];
        ++totals.queues;
        totals.messages += found;
        if (*wanted != found) {
            // Seconds may move a count, but they hardly take all of many.
            const bool emptied = found == 0 && *wanted >= many_messages;
            report(name, "messages", *wanted, found,
                   emptied ? std::string() : excuse_of(name, statistics, served), node);
        }
    }

    std::string excuse_of(const Name& name, const QueueStatistics& statistics,
                          const ServedQueue& served) const {
        const bool quorum = served.type == "quorum";
        const bool written = std::ranges::any_of(expected_.nodes, [&](const NodeFiles& node) {
            const auto last = quorum ? node.last_writes.quorum : last_write_of_classic(node, name);
            return last && node.counted - *last < quiet_time;
        });
        // A classic queue keeps what nobody waits for a confirm of to itself until it has nothing
        // else to do.
        const bool resting = quorum || statistics.idle_since.has_value();
        if (!written && resting) {
            return {};
        }
        return std::string(quorum ? "messages of quorum queues were" : "its messages were") +
               " coming or going when the node was backed up, whose counts are some seconds old";
    }

    static std::optional<Timestamp> last_write_of_classic(const NodeFiles& node, const Name& name) {
        const auto found = node.last_writes.classic.find(name);
        return found == node.last_writes.classic.end() ? std::nullopt
                                                       : std::optional(found->second);
    }

    const ExpectedQueues& expected_;
    const std::vector<ServedNode>& served_;
    const ReportDifference& report_;
    std::map<Name, std::map<std::string, const ServedQueue*>> streams_;  // by node
    std::map<Name, const StoredQueue*> queues_;
    QueueTotals totals_;
};

}  // namespace

bool ExpectedQueues::is_on(const std::string& node, const ServedQueue& queue) {
    return std::ranges::find(queue.nodes, node) != queue.nodes.end();
}

bool ExpectedQueues::is_out_of_reach(const ServedQueue& queue) const {
    std::vector<std::string> names;
    for (const auto& files : nodes) {
        names.push_back(files.node);
    }
    return !queue.can_run_on(names);
}

QueueTotals find_queue_differences(const ExpectedQueues& expected,
                                   const std::vector<ServedNode>& served,
                                   const ReportDifference& report) {
    Comparison comparison(expected, served, report);
    for (const auto& queue : served.front().queues) {
        comparison.compare(queue);
    }
    return comparison.totals();
}

}  // namespace hot_backup
