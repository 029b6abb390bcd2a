// What is taken of the node's files while nothing of the node runs.
#pragma once

#include "sidecar/capture/arena.hpp"
#include "sidecar/capture/watched_tree.hpp"

namespace hot_backup {

// A file as it was at the cut.
struct CapturedFile {
    NodeFilePtr file;                     // or else
    const CaptureRoot* single = nullptr;  // a file outside of the roots
    CopyTask task;
    NodeFileStatus status;
    ReadPlan plan;
    Descriptor descriptor;   // only while something is to be read from it
    std::span<char> memory;  // [0, plan.front) of a file that only grows, else [plan.from, size)

    // Those of the `size` bytes from `offset` on that the cut read; none of a tail.
    std::string_view in_memory(std::uint64_t offset, std::size_t size) const;
    std::uint64_t memory_bytes() const noexcept {
        return plan.only_grows ? plan.front : plan.size - plan.from;
    }
    std::uint64_t tail_bytes() const noexcept {
        return plan.only_grows ? plan.size - plan.from : 0;
    }
};

struct CutLimits {
    std::uint64_t memory_bytes = 0;
    std::uint64_t files = 0;
    LiveCopy::Clock::time_point deadline;
};

// Takes the changed files of `tree`, and `single_files`. The tree keeps its marks. `captured` is
// empty unless the outcome is `captured`.
Cut capture(WatchedTree& tree, const std::vector<CaptureRoot>& single_files, Arena& arena,
            const CutLimits& limits, std::vector<CapturedFile>& captured);

}  // namespace hot_backup
