// The definitions of some vhosts, each as the JSON object that definitions have for it: to compare
// those of a backup with those of a live broker.
#pragma once

#include "sidecar/definitions/snapshot_reader.hpp"
#include "sidecar/json.hpp"
#include "sidecar/transfer/queue_name.hpp"

#include <map>
#include <set>
#include <string>
#include <vector>

namespace hot_backup {

struct DefinitionSet {
    // By vhost and name; an exchange is named like a queue.
    std::map<std::string, Json> vhosts;
    std::map<QueueName, Json> queues;
    std::map<QueueName, Json> exchanges;
    std::map<QueueName, Json> policies;
    std::vector<Json> bindings;
};

// Memory: what the vhosts have. Throws Error as write_definitions() does.
DefinitionSet read_definitions(Snapshot& snapshot, const std::string& rabbitmq_version,
                               const std::set<std::string>& vhosts);

}  // namespace hot_backup
