#include "sidecar/cli/show_queues.hpp"

#include <algorithm>
#include <unordered_set>

namespace hot_backup {
namespace {

constexpr std::size_t most_queues = 50;

using QueueSet = std::unordered_set<const StoredQueue*>;

QueueSet choose(const std::vector<StoredVhost>& vhosts, bool all) {
    std::vector<const StoredQueue*> queues;
    for (const auto& vhost : vhosts) {
        for (const auto& queue : vhost.queues) {
            queues.push_back(&queue);
        }
    }
    if (!all && queues.size() > most_queues) {
        // Unknown counts as none: such a queue is not among the largest.
        std::stable_sort(queues.begin(), queues.end(), [](const auto* a, const auto* b) {
            return messages_of(*a).value_or(0) > messages_of(*b).value_or(0);
        });
        queues.resize(most_queues);
    }
    return {queues.begin(), queues.end()};
}

// A sum of what may be unknown.
struct Total {
    std::uint64_t sum = 0;
    std::size_t known = 0;

    void add(const std::optional<std::uint64_t>& number) {
        sum += number.value_or(0);
        known += number ? 1U : 0U;
    }
};

struct Totals {
    Total messages;
    Total ready;
    Total unacknowledged;
    Total bytes;
};

Totals totals_of(const StoredVhost& vhost) {
    Totals totals;
    for (const auto& queue : vhost.queues) {
        totals.messages.add(messages_of(queue));
        totals.ready.add(queue.statistics.ready);
        totals.unacknowledged.add(queue.statistics.unacknowledged);
        totals.bytes.add(queue.statistics.bytes);
    }
    return totals;
}

std::string describe(const StoredVhost& vhost) {
    const auto totals = totals_of(vhost);
    std::string text = plural(vhost.queues.size(), "queue", "queues");
    const auto append = [&](const Total& total, const std::string& what) {
        if (total.known > 0) {
            text += (total.known < vhost.queues.size() ? ", at least " : ", ") + what;
        }
    };
    append(totals.ready, plural(totals.ready.sum, "message", "messages") + " ready");
    append(totals.unacknowledged, std::to_string(totals.unacknowledged.sum) + " unacknowledged");
    append(totals.bytes, format_bytes(totals.bytes.sum));
    return text;
}

void print_vhost(const StoredVhost& vhost, Output& output) {
    output.line("vhost       " + printable(vhost.name) + ": " + describe(vhost));
}

void print_queue(const StoredQueue& queue, Output& output) {
    const auto& known = queue.statistics;
    output.line("  " + pad(count_text(known.ready), 12) +
                pad(count_text(known.unacknowledged), 10) +
                pad(known.bytes ? format_bytes(*known.bytes) : "-", 10) +
                pad(type_text(queue), 12) + printable(known.name));
}

}  // namespace

std::optional<std::uint64_t> messages_of(const StoredQueue& queue) {
    const auto& known = queue.statistics;
    if (known.first_offset && known.last_offset) {
        return *known.last_offset - *known.first_offset + 1;
    }
    if (known.ready) {
        return *known.ready + known.unacknowledged.value_or(0);
    }
    return std::nullopt;
}

std::string count_text(const std::optional<std::uint64_t>& count) {
    return count ? std::to_string(*count) : "-";
}

std::string type_text(const StoredQueue& queue) {
    return printable(queue.type) + (queue.version ? " v" + std::to_string(*queue.version) : "");
}

void print_vhost_totals(const std::vector<StoredVhost>& vhosts, Output& output) {
    for (const auto& vhost : vhosts) {
        print_vhost(vhost, output);
    }
}

void print_vhosts(const std::vector<StoredVhost>& vhosts, bool all, Output& output) {
    const auto chosen = choose(vhosts, all);
    std::size_t total = 0;
    for (const auto& vhost : vhosts) {
        total += vhost.queues.size();
        print_vhost(vhost, output);
        const auto is_chosen = [&](const StoredQueue& queue) { return chosen.contains(&queue); };
        if (std::any_of(vhost.queues.begin(), vhost.queues.end(), is_chosen)) {
            output.line("  READY       UNACKED   SIZE      TYPE        QUEUE");
        }
        for (const auto& queue : vhost.queues) {
            if (is_chosen(queue)) {
                print_queue(queue, output);
            }
        }
    }
    if (total > chosen.size()) {
        output.line("queues      " + std::to_string(total - chosen.size()) +
                    " more, none of them larger: see --all, --vhost or --json");
    }
}

OrderedJson to_json(const StoredQueue& queue) {
    const auto& known = queue.statistics;
    OrderedJson json{{"name", known.name}, {"type", queue.type}};
    const auto add = [&](const char* key, const auto& number) {
        if (number) {
            json[key] = *number;
        }
    };
    add("version", queue.version);
    add("ready", known.ready);
    add("unacknowledged", known.unacknowledged);
    add("bytes", known.bytes);
    add("first_offset", known.first_offset);
    add("last_offset", known.last_offset);
    return json;
}

OrderedJson to_json(const std::vector<StoredVhost>& vhosts, QueueList queues) {
    auto list = OrderedJson::array();
    for (const auto& vhost : vhosts) {
        const auto totals = totals_of(vhost);
        OrderedJson json{{"name", vhost.name},
                         {"queue_count", vhost.queues.size()},
                         {"counted", totals.messages.known},
                         {"messages", totals.messages.sum},
                         {"ready", totals.ready.sum},
                         {"unacknowledged", totals.unacknowledged.sum},
                         {"bytes", totals.bytes.sum},
                         {"sized", totals.bytes.known}};
        if (queues == QueueList::with) {
            json["queues"] = OrderedJson::array();
            for (const auto& queue : vhost.queues) {
                json["queues"].push_back(to_json(queue));
            }
        }
        list.push_back(std::move(json));
    }
    return list;
}

}  // namespace hot_backup
