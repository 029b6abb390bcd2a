// One of the lists of a backup, as `show --list` prints it: an object for each item and a summary
// with the counts, or lines for people.
#pragma once

#include "sidecar/cli/arguments.hpp"
#include "sidecar/cli/output.hpp"
#include "sidecar/definitions/queue_inventory.hpp"
#include "sidecar/repository/repository.hpp"

#include <optional>
#include <string>
#include <vector>

namespace hot_backup {

// Prints `wanted.list`. Error usage: the filter or the column makes no sense.
void show_list(const Repository& repository, const std::string& backup_id,
               const ShowArguments& wanted, Output& output);

// The vhosts of a backup, of a node or of a cluster, with their queues; with a name, that one.
// Error failed: there is none of that name; not_found: the part with the metadata is not here.
std::vector<StoredVhost> read_vhosts(const Repository& repository, const std::string& backup_id,
                                     const std::optional<std::string>& name);

// A file of a backup.
void print_file(const FileEntry& file, Output& output);
OrderedJson to_json(const FileEntry& file);

}  // namespace hot_backup
