// The definitions of a live broker: what it has now, and declaring what it lacks.
#pragma once

#include "sidecar/engine/broker.hpp"
#include "sidecar/json.hpp"
#include "sidecar/transfer/definition_difference.hpp"
#include "sidecar/transfer/definition_set.hpp"

#include <set>
#include <string>

namespace hot_backup {

// By a checkpoint of the broker's metadata, which is held in memory as a whole.
DefinitionSet read_definitions(Broker& broker, const std::set<std::string>& vhosts);

DefinitionRules read_definition_rules(Broker& broker);

// Hands definitions to RabbitMQ's import, in portions. It leaves vhosts, exchanges, queues and
// bindings alone that exist, and overwrites users and policies.
void import_definitions(Broker& broker, const OrderedJson& definitions);

}  // namespace hot_backup
