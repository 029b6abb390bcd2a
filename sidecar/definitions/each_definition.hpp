// The definitions of a snapshot, one by one: for those who look at them rather than write them
// down.
#pragma once

#include "sidecar/definitions/definitions.hpp"

#include <functional>
#include <string_view>

namespace hot_backup {

// Hands out each definition as its JSON object, with the name of its section ("queues"). Memory: a
// definition. Throws Error as write_definitions(); what `consume` throws passes through.
void for_each_definition(
    Snapshot& snapshot, const DefinitionsHeader& header,
    const std::function<void(std::string_view section, std::string_view definition)>& consume);

}  // namespace hot_backup
