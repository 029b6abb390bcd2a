// Reads the Raft logs of quorum queues and of the stream coordinator in the image of a node, and
// tells whether they are whole: a node may boot from logs that are not, and count right.
//
// Each server's log is what its segments and the write-ahead log shared by all have of it. After
// the index of its newest whole snapshot there has to be every entry up to the last one. Entries
// lie within their files, their checksums are right, and an entry that is in a segment and in the
// write-ahead log is the same in both.
//
// A directory without a `config` is no server: Ra begins it with one, and removes it with it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace tools {

struct RaServer {
    std::string uid;
    std::string name;                       // '%2F_orders' of queue "orders" in "/"
    std::optional<std::uint64_t> snapshot;  // the index it ends with
    std::uint64_t entries = 0;              // after the snapshot
    std::uint64_t last = 0;                 // the highest index
    std::vector<std::string> problems;      // empty: its log is whole
};

struct RaReport {
    std::vector<RaServer> servers;
    std::uint64_t entries_in_segments = 0;
    std::uint64_t entries_in_wal = 0;
    std::vector<std::string> problems;  // of the write-ahead logs, which all servers share
};

// `data_directory` is the node's: the logs are in quorum/NODE and coordination/NODE.
RaReport read_ra_logs(const std::filesystem::path& data_directory);

}  // namespace tools
