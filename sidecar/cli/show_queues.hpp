// How `show` presents the queues of a backup.
#pragma once

#include "sidecar/cli/output.hpp"
#include "sidecar/definitions/queue_inventory.hpp"

#include <optional>
#include <string>
#include <vector>

namespace hot_backup {

// What a queue holds, as far as the node had counted it: of a stream, by its offsets.
std::optional<std::uint64_t> messages_of(const StoredQueue& queue);
// "classic v2".
std::string type_text(const StoredQueue& queue);
// "1200"; "-" when nobody knows.
std::string count_text(const std::optional<std::uint64_t>& count);

// Every vhost with its totals and its queues below it. Of more than 50 queues it prints the 50
// with the most messages, unless it is to print `all`.
void print_vhosts(const std::vector<StoredVhost>& vhosts, bool all, Output& output);
// Every vhost with its totals, and nothing of its queues.
void print_vhost_totals(const std::vector<StoredVhost>& vhosts, Output& output);

enum class QueueList { with, without };
// Every vhost with its totals, and with every queue where they are wanted. What is not known of a
// queue is left out.
OrderedJson to_json(const std::vector<StoredVhost>& vhosts, QueueList queues);
OrderedJson to_json(const StoredQueue& queue);

}  // namespace hot_backup
