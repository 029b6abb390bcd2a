// Backup IDs, such as 20261122T073241.512Z: docs/format.md, "Names". Their order as text is their
// order in time.
#pragma once

#include "sidecar/repository/timestamp.hpp"

#include <string>
#include <string_view>

namespace hot_backup {

// The ID of a backup that starts at `start` in a repository whose highest ID is `last` (empty: it
// has none). Always greater than `last`. Error failed: there is no such ID, because the clock or
// the name of a file in the repository is absurd.
std::string next_backup_id(Timestamp start, std::string_view last);

bool is_backup_id(std::string_view text);

// ID.NNNN
std::string pack_name(std::string_view backup_id, unsigned number);
bool is_pack_name(std::string_view text);
// The ID of the backup that made the pack.
std::string_view backup_of_pack(std::string_view pack_name);

}  // namespace hot_backup
