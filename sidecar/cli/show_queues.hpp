// How `show` presents the queues of a backup.
#pragma once

#include "sidecar/cli/output.hpp"
#include "sidecar/definitions/queue_inventory.hpp"

#include <vector>

namespace hot_backup {

// Every vhost with its totals and its queues below it. Of more than 50 queues it prints the 50
// with the most messages, unless it is to print `all`.
void print_vhosts(const std::vector<StoredVhost>& vhosts, bool all, Output& output);

// Every vhost with every queue. What is not known of a queue is left out.
OrderedJson to_json(const std::vector<StoredVhost>& vhosts);

}  // namespace hot_backup
