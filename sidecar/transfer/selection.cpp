#include "sidecar/transfer/selection.hpp"

#include "erlang_port/error.hpp"
#include "sidecar/definitions/records.hpp"
#include "sidecar/definitions/text.hpp"

#include <fnmatch.h>

#include <algorithm>
#include <set>

namespace hot_backup {
namespace {

std::string full_name(const QueueName& queue) {
    return queue.vhost + "/" + queue.name;
}

std::set<QueueName> restorable_queues(Snapshot& snapshot) {
    std::set<QueueName> queues;
    snapshot.for_each(Category::queues, [&](const erlang::Term& record) {
        const auto queue = queue_of(record);
        if (queue.is_lasting()) {
            queues.insert({std::string(queue.resource.vhost), std::string(queue.resource.name)});
        }
    });
    return queues;
}

[[noreturn]] void nothing_matches(const std::string& what) {
    throw Error(ErrorCode::usage, "the backup has no durable queue " + what,
                "`show ID --all` lists the queues; a queue is written VHOST/NAME, in the default "
                "vhost //NAME.");
}

// Adds what `matches` to `chosen`.
template <class Matches>
void choose(const std::set<QueueName>& queues, const std::string& what, const Matches& matches,
            std::set<QueueName>& chosen) {
    bool any = false;
    for (const auto& queue : queues) {
        if (matches(queue)) {
            chosen.insert(queue);
            any = true;
        }
    }
    if (!any) {
        nothing_matches(what);
    }
}

void choose_pattern(const std::set<QueueName>& queues, const std::string& pattern,
                    std::set<QueueName>& chosen) {
    const auto is_it = [&](const QueueName& queue) { return full_name(queue) == pattern; };
    if (std::any_of(queues.begin(), queues.end(), is_it)) {
        choose(queues, pattern, is_it, chosen);
        return;
    }
    choose(
        queues, "that matches " + pattern,
        [&](const QueueName& queue) {
            return ::fnmatch(pattern.c_str(), full_name(queue).c_str(), 0) == 0;
        },
        chosen);
}

bool is_utf8(const std::string& text) {
    return valid_utf8_prefix(text) == text.size();
}

}  // namespace

ChosenQueues choose_queues(Snapshot& snapshot, const Selection& selection) {
    const auto queues = restorable_queues(snapshot);
    std::set<QueueName> chosen;
    if (selection.all) {
        choose(
            queues, "at all", [](const QueueName&) { return true; }, chosen);
    }
    for (const auto& vhost : selection.vhosts) {
        choose(
            queues, "in vhost " + vhost,
            [&](const QueueName& queue) { return queue.vhost == vhost; }, chosen);
    }
    for (const auto& pattern : selection.queues) {
        choose_pattern(queues, pattern, chosen);
    }
    ChosenQueues result;
    for (const auto& queue : chosen) {
        if (is_utf8(queue.vhost) && is_utf8(queue.name)) {
            result.queues.push_back(queue);
        } else {
            result.left_out.push_back(
                {queue, "its name is not UTF-8, which definitions cannot hold"});
        }
    }
    return result;
}

}  // namespace hot_backup
