// The broker's own export of its definitions, and when two exports say the same.
#pragma once

#include "tests/harness/broker.hpp"

#include <nlohmann/json.hpp>

namespace integration {

// rabbit_definitions:all_definitions/0 without what a backup's definitions leave out: non-durable
// and exclusive things and their bindings.
nlohmann::json exported_definitions(const harness::Broker& broker);

// Compares category by category as sets.
void check_same_definitions(const nlohmann::json& ours, const nlohmann::json& brokers);

// Without what the importer loses: in RabbitMQ 3.8 descriptions and tags of virtual hosts.
nlohmann::json as_imported(nlohmann::json definitions);

// Definitions have no place for internal exchanges, so an importer cannot restore their bindings.
nlohmann::json without_bindings_of(nlohmann::json definitions, const std::string& exchange);

}  // namespace integration
