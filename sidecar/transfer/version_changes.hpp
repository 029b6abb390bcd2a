// What becomes of queues of a backup in a broker of a later RabbitMQ that has not got all that they
// had: to be said before it happens.
#pragma once

#include "sidecar/transfer/definition_set.hpp"
#include "sidecar/transfer/queue_name.hpp"

#include <string>
#include <vector>

namespace hot_backup {

// Queues of the backup for which the same is to be said.
struct VersionChange {
    std::string what;  // a sentence, or more, without the queues' names
    std::vector<QueueName> queues;
};

// `queues`: those of the backup that are to be declared.
std::vector<VersionChange> find_version_changes(const DefinitionSet& backup,
                                                const std::vector<QueueName>& queues,
                                                const std::string& backup_version,
                                                const std::string& target_version);

}  // namespace hot_backup
