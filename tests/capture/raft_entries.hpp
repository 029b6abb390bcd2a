// Entries of a Raft write-ahead log as Ra writes them, for tests.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace capture_test {

// The beginning of a log, and these entries.
std::string raft_log(std::string_view entries);

struct RaftEntryOptions {
    bool known = false;                         // its server was named before
    std::optional<std::uint32_t> adler32 = {};  // in the place of the right one
};
std::string raft_entry(std::string_view data, const RaftEntryOptions& options = {});

}  // namespace capture_test
