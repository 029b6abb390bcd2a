// The parts of a cluster backup, and where they are, as list and show print them.
#pragma once

#include "sidecar/cli/output.hpp"
#include "sidecar/repository/cluster_parts.hpp"

#include <vector>

namespace hot_backup {

// "here", "missing", "elsewhere": docs/json.md.
const char* name_of(PartState state);

// Adds "state" to each of the "parts" of the JSON of the whole.
void add_states(OrderedJson& json, const std::vector<PlacedPart>& parts);

// A line for each part, for people.
void print_parts(const std::vector<PlacedPart>& parts, Output& output);

}  // namespace hot_backup
