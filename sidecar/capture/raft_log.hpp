// Where the entries of a Raft write-ahead log end that Ra allocated ahead: up to RabbitMQ 3.8 every
// one is (256 MB and more, most of it zeros), later those of a node that is told so.
//
// "RAWA" 1, then entries: Truncate:1 Known:1 Number:22 [Length:16 Uid] Adler32:32 Length:32
// Index:64 Term:64 Data, big-endian, the UID where Known is 0, Adler32 of all from Index on, 0 if
// there is none. Each is written behind the one before, and nothing that is written changes.
#pragma once

#include "sidecar/capture/node_file.hpp"

namespace hot_backup {

// Whether there is room for an entry within the file's length, all of it zeros. An entry that ends
// in so many zeros looks the same.
bool may_be_allocated_ahead(const Descriptor& file, const std::string& path, std::uint64_t size);

// The end of the last entry that is there as a whole. The VM writes a batch of entries in several
// pieces, and confirms them when all are written: of one that is being written the rest is zeros,
// which would end Ra's recovery with a wrong checksum. `from` is the end of any entry, or 0.
// Nothing when it is no such log.
std::optional<std::uint64_t> raft_log_end(const Descriptor& file, const std::string& path,
                                          std::uint64_t from, std::uint64_t size);

}  // namespace hot_backup
