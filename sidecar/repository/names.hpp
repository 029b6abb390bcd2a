// The names of the files in a repository: docs/format.md. For the sources of Repository.
#pragma once

#include "sidecar/repository/file_system.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace hot_backup {

inline constexpr std::string_view manifest_suffix = ".manifest";
inline constexpr std::string_view cluster_suffix = ".cluster";
inline constexpr std::string_view pack_suffix = ".pack";
inline constexpr std::string_view temporary_suffix = ".tmp";

// The names in a directory that end in `suffix`, without it.
std::vector<std::string> list_by_suffix(FileSystem& file_system, const Path& directory,
                                        std::string_view suffix);

}  // namespace hot_backup
