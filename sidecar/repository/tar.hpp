// The parts of a tar archive (POSIX.1-2001, "pax"): regular files and directories of root's, which
// only their owner may read. What lies between the parts is the caller's.
#pragma once

#include "sidecar/repository/timestamp.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace hot_backup {

struct TarEntry {
    std::string path;  // at most 99 bytes; of a directory it ends in a slash
    std::uint64_t size = 0;
    Timestamp mtime;
};

// What stands before the content. A size of 8 GiB or more, which a plain header cannot hold, is in
// an extended one before it.
std::string tar_header(const TarEntry& entry);
// How many zeros follow a content of `size` bytes.
std::uint64_t tar_padding(std::uint64_t size);
// What stands at the end of the archive.
std::string tar_end();

}  // namespace hot_backup
