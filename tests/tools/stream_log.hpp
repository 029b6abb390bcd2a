// Reads the streams in the image of a node, and tells whether they are whole: a node may boot from
// streams that are not, and cut them off where they stop making sense.
//
// The chunks of a stream follow each other without a gap, from segment to segment, with right
// checksums; each index record points to the chunk that it names. A chunk is written before its
// index record, and the last one may be written in part.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace tools {

struct StreamReport {
    std::uint64_t streams = 0;
    std::uint64_t segments = 0;
    std::uint64_t records = 0;
    std::vector<std::string> problems;  // empty: they are whole
};

// `data_directory` is the node's: the streams are in stream/.
StreamReport read_streams(const std::filesystem::path& data_directory);

}  // namespace tools
