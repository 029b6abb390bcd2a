#include "sidecar/definitions/queue_inventory.hpp"

#include "sidecar/definitions/records.hpp"
#include "sidecar/definitions/text.hpp"
#include "sidecar/rabbitmq_version.hpp"

#include <algorithm>
#include <map>
#include <utility>

namespace hot_backup {
namespace {

// Version 2 came with 3.10 and is the only one since 4.0. In between it is the queue's argument
// that decides, then a policy, then the node's configuration (rabbit_amqqueue_process.erl,
// res_arg/2); the last is not known here.
std::optional<unsigned> version_of(const Queue& queue, const RabbitmqVersion& server) {
    if (queue.type != "classic" || server.major < 3) {
        return std::nullopt;
    }
    if (server.major > 3) {
        return 2;
    }
    if (server.minor < 10) {
        return 1;
    }
    for (const auto& argument : table_of(*queue.arguments)) {
        const auto value = argument.value->as_unsigned();
        if (argument.name == "x-queue-version" && (value == 1U || value == 2U)) {
            return static_cast<unsigned>(*value);
        }
    }
    return std::nullopt;
}

bool by_name(const StoredQueue& a, const StoredQueue& b) {
    return a.statistics.name < b.statistics.name;
}

// Where two names have become one by U+FFFD, nobody knows whose statistics these are.
void join(std::vector<StoredQueue>& queues, QueueStatistics& statistics) {
    StoredQueue wanted;
    wanted.statistics.name = statistics.name;
    const auto [first, last] = std::equal_range(queues.begin(), queues.end(), wanted, by_name);
    if (last - first == 1) {
        first->statistics = std::move(statistics);
    }
}

}  // namespace

std::vector<StoredVhost> list_queues(Snapshot& snapshot, std::string_view rabbitmq_version,
                                     std::vector<QueueStatistics> statistics) {
    std::map<std::string, std::vector<StoredQueue>> vhosts;
    snapshot.for_each(Category::vhosts, [&](const erlang::Term& record) {
        vhosts[replace_invalid_utf8(vhost_of(record).name)];
    });
    const auto server = RabbitmqVersion::of(rabbitmq_version).value_or(RabbitmqVersion{});
    snapshot.for_each(Category::queues, [&](const erlang::Term& record) {
        const auto queue = queue_of(record);
        if (!queue.is_lasting()) {
            return;
        }
        StoredQueue stored;
        stored.type = queue.type;
        stored.version = version_of(queue, server);
        stored.statistics.vhost = replace_invalid_utf8(queue.resource.vhost);
        stored.statistics.name = replace_invalid_utf8(queue.resource.name);
        vhosts[stored.statistics.vhost].push_back(std::move(stored));
    });
    for (auto& [name, queues] : vhosts) {
        std::sort(queues.begin(), queues.end(), by_name);
    }
    for (auto& queue : statistics) {
        const auto vhost = vhosts.find(queue.vhost);
        if (vhost != vhosts.end()) {
            join(vhost->second, queue);
        }
    }
    std::vector<StoredVhost> list;
    for (auto& [name, queues] : vhosts) {
        list.push_back({name, std::move(queues)});
    }
    return list;
}

}  // namespace hot_backup
