// The files of a stream, as osiris_log writes them: segments of chunks, each segment with an index.
// Both kinds begin with a header, "OSIL" or "OSII" and a version, and are named by the number of
// their first record, of twenty digits.
#pragma once

#include "sidecar/repository/file_system.hpp"

#include <cstdint>
#include <vector>

namespace hot_backup {

inline constexpr std::uint64_t stream_file_header = 8;
// `Id:64, Timestamp:64, Epoch:64, Position:32, Type:8`, for each chunk of the segment.
inline constexpr std::uint64_t stream_index_record = 29;

// The indexes of the stream in this directory, in the order of their records.
std::vector<Path> stream_indexes(const Path& directory);
Path stream_segment_of(Path index);

}  // namespace hot_backup
