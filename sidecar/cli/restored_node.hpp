// What `restore --target-dir` says of a node that it has restored: where its files are now, and the
// command that starts it.
#pragma once

#include "sidecar/cli/output.hpp"
#include "sidecar/restore/restore.hpp"

#include <string>

namespace hot_backup {

void print(const RestoredNode& node, const std::string& id, double seconds, Output& output);
OrderedJson to_json(const RestoredNode& node, const std::string& id, double seconds);

}  // namespace hot_backup
