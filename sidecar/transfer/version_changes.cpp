#include "sidecar/transfer/version_changes.hpp"

#include "sidecar/rabbitmq_version.hpp"
#include "sidecar/transfer/policies.hpp"

#include <array>

namespace hot_backup {
namespace {

struct Rule {
    RabbitmqVersion since;  // of the target, when the backup is of an earlier one
    bool (*concerns)(const DefinitionSet& backup, const Json& queue);
    const char* what;  // behind the name and version of the target's RabbitMQ
};

bool lacks_delivery_limit(const DefinitionSet& backup, const Json& queue) {
    return text_of(queue, "type") == "quorum" &&
           !queue.value("arguments", Json::object()).contains("x-delivery-limit") &&
           !policy_of(backup, queue).contains("delivery-limit");
}

constexpr std::array rules{
    Rule{{4, 0, 0},
         is_mirrored,
         " has no mirrored queues: what is mirrored in the backup becomes a classic queue without "
         "replicas. Where it needs replicas, declare a quorum queue of its name first, and the "
         "messages come into that."},
    Rule{{4, 0, 0},
         lacks_delivery_limit,
         " drops or dead-letters what a quorum queue delivers 20 times in vain, which had no limit "
         "in the backup. Where that is too few, set a policy with another delivery-limit, or -1 "
         "for none."},
};

}  // namespace

std::vector<VersionChange> find_version_changes(const DefinitionSet& backup,
                                                const std::vector<QueueName>& queues,
                                                const std::string& backup_version,
                                                const std::string& target_version) {
    std::vector<VersionChange> changes;
    for (const auto& rule : rules) {
        if (RabbitmqVersion::of(backup_version) >= rule.since ||
            RabbitmqVersion::of(target_version) < rule.since) {
            continue;
        }
        VersionChange change{"RabbitMQ " + target_version + rule.what, {}};
        for (const auto& queue : queues) {
            if (rule.concerns(backup, backup.queues.at(queue))) {
                change.queues.push_back(queue);
            }
        }
        if (!change.queues.empty()) {
            changes.push_back(std::move(change));
        }
    }
    return changes;
}

}  // namespace hot_backup
