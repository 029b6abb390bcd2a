#include "sidecar/transfer/definition_set.hpp"

#include "sidecar/definitions/definitions.hpp"

#include <functional>
#include <string_view>
#include <utility>

namespace hot_backup {
namespace {

QueueName name_of(const Json& definition) {
    return {definition.at("vhost"), definition.at("name")};
}

}  // namespace

DefinitionSet read_definitions(Snapshot& snapshot, const std::string& rabbitmq_version,
                               const std::set<std::string>& vhosts) {
    DefinitionSet set;
    const std::set<std::string, std::less<>> wanted{"vhosts", "queues", "exchanges", "policies",
                                                    "bindings"};
    for_each_definition(
        snapshot, {rabbitmq_version}, [&](std::string_view section, std::string_view text) {
            if (!wanted.contains(section)) {
                return;
            }
            auto definition = Json::parse(text);
            // No broker takes an exchange with a name of its own from outside.
            if (section == "exchanges" &&
                definition.at("name").get_ref<const std::string&>().starts_with("amq.")) {
                return;
            }
            if (!vhosts.contains(definition.at(section == "vhosts" ? "name" : "vhost"))) {
                return;
            }
            if (section == "vhosts") {
                set.vhosts.emplace(definition.at("name"), std::move(definition));
            } else if (section == "bindings") {
                set.bindings.push_back(std::move(definition));
            } else {
                auto& named = section == "queues"      ? set.queues
                              : section == "exchanges" ? set.exchanges
                                                       : set.policies;
                named.emplace(name_of(definition), std::move(definition));
            }
        });
    return set;
}

}  // namespace hot_backup
