// Which queues and exchanges a policy of a broker applies to.
#pragma once

#include "sidecar/json.hpp"
#include "sidecar/transfer/definition_set.hpp"

#include <string>

namespace hot_backup {

// A field of a definition; empty when it is not there or no text.
std::string text_of(const Json& definition, const char* key);

bool applies_to_queue(const Json& policy, const Json& queue);

// Whether it says anything that such an exchange looks at.
bool applies_to_exchange(const Json& policy, const std::string& exchange);

// What the policies say of a queue: of those that apply the one with the highest priority alone
// counts. Nothing when none applies.
Json policy_of(const DefinitionSet& definitions, const Json& queue);

// Whether other nodes have copies of a classic queue, as up to RabbitMQ 3.13.
bool is_mirrored(const DefinitionSet& definitions, const Json& queue);

}  // namespace hot_backup
