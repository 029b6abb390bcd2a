// The first and last offset of each stream in the files of a node that does not run: what a broker
// that is booted from them has to serve.
#pragma once

#include "sidecar/repository/file_system.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace hot_backup {

struct StreamOffsets {
    std::uint64_t first = 0;
    std::uint64_t last = 0;
    bool operator==(const StreamOffsets&) const = default;
};

// By the name of the stream's directory; none for a stream with nothing in it. Reads the ends of
// each stream's index only. Osiris writes a chunk, then its index record, then confirms; what has
// no whole record and chunk was not confirmed, and is cut off at the boot.
std::map<std::string, std::optional<StreamOffsets>> read_stream_offsets(const Path& data_directory);

}  // namespace hot_backup
