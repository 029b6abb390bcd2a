// Makes one file of the node into extents, in as few bytes read as its rule allows.
//
// The same two steps serve a pass, which reads the file, and the end of a cut, where a part of it
// is in memory: plan_read() looks what of an earlier copy still holds, store_contents() makes the
// rest into extents. Both are called by several threads at once.
#pragma once

#include "sidecar/capture/file_rules.hpp"
#include "sidecar/capture/live_copy.hpp"
#include "sidecar/capture/node_file.hpp"
#include "sidecar/capture/rate_limiter.hpp"

#include <atomic>

namespace hot_backup {

// What the image holds of a file. Never changed once it is made, so threads may share it.
struct FileCopy {
    NodeFileStatus status;        // before it was read
    std::uint64_t size = 0;       // so many bytes are copied
    std::int64_t read_at_ns = 0;  // the wall clock before that
    std::uint64_t front = 0;      // of these bytes, from the first on, changed in place
    bool extendable = false;      // more bytes may be appended to this copy
    bool whole_entries = false;   // of a Raft log; see ReadPlan
    std::size_t front_extents = 0;
    std::uint64_t head_size = 0;  // of a journal: so many of its first bytes tell whether it is
    Digest head;                  // still the same one
    Digest anchor;                // of the last bytes behind `front`, if it is extendable
    std::vector<Extent> extents;
};
using FileCopyPtr = std::shared_ptr<const FileCopy>;

struct CopyTask {
    std::string path;
    CopyRule rule = CopyRule::in_place;
    bool highest = false;  // a message store's file that has the highest number of its directory
    FileCopyPtr before;    // an earlier copy, if there is one
};

// [0, front) and [from, size) are to be read; what lies in between is copied.
struct ReadPlan {
    std::uint64_t front = 0;
    std::uint64_t from = 0;
    std::uint64_t size = 0;      // the file's, less what a Raft log has allocated ahead
    bool whole_entries = false;  // `size` is where an entry of a Raft log ends
    bool only_grows = false;     // no byte of [from, size) will change, so it may be read later
    bool extendable = false;     // see FileCopy
    bool has_head = false;       // see FileCopy
    std::string window;          // the last copied bytes before `from`, which the anchor covers
};
ReadPlan plan_read(const Descriptor& file, const NodeFileStatus& status, const CopyTask& task);

// Bytes of the file from `offset` on, valid until the next call; fewer than `size` only where the
// file ends.
using Fetch = std::function<std::string_view(std::uint64_t offset, std::size_t size)>;

// What all threads share.
struct CopyContext {
    StoreBlock store;
    std::size_t block_size = 0;
    std::atomic<bool> ended{false};  // nobody wants what is being read any more
    std::atomic<std::uint64_t> read_bytes{0};
};

// Stores what is to be read of a file, but for blocks that are the same in the earlier copy.
// Nothing when the file is shorter than `status` says.
std::shared_ptr<FileCopy> store_contents(CopyContext& context, const NodeFileStatus& status,
                                         const ReadPlan& plan, const FileCopyPtr& before,
                                         const Fetch& fetch);

// Fills the buffer from `offset` on, no faster than the limiter allows; less only where the file
// ends, or when nobody wants it any more.
std::string_view read_limited(const CopyContext& context, RateLimiter& limiter,
                              const Descriptor& file, const std::string& path, std::uint64_t offset,
                              std::span<char> buffer);

// A copy of a file as it is now. Nothing when it is gone, or shrinks meanwhile: then the kernel
// reports that, too. `buffer` has the size of a block.
FileCopyPtr copy_file(CopyContext& context, RateLimiter& limiter, const CopyTask& task,
                      std::span<char> buffer);

}  // namespace hot_backup
