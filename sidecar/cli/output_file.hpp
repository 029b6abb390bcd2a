// A file that the operator named for a command's result.
#pragma once

#include "sidecar/repository/file_system.hpp"

#include <functional>
#include <ostream>

namespace hot_backup {

// Has `write` write the content. A regular file, or a new one, appears under its name only when it
// is whole, and only its owner may read it (0600): definitions hold password hashes. Symbolic links
// are followed; a device or a pipe is written to as it is. Error (failed) names the path.
void write_output_file(const Path& path, const std::function<void(std::ostream&)>& write);

}  // namespace hot_backup
