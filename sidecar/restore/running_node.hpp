// Whether a node works in a directory.
#pragma once

#include "sidecar/repository/file_system.hpp"

#include <sys/types.h>

#include <optional>

namespace hot_backup {

// The Erlang VM that has files open below `directory` (without symbolic links), as every node has
// from early in its boot on: by their names, also of files deleted since, and by the files
// themselves, also where another container knows them by another name. Nothing when there is none
// among the processes that this user may look at.
std::optional<pid_t> node_that_uses(const Path& directory);

}  // namespace hot_backup
