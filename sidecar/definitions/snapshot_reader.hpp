// Reads `metadata/snapshot` (docs/format.md) and replays it, in memory that does not grow with the
// tables.
//
// The corrections of a table come after its records, so what stands is known only at the end. A
// first pass (SnapshotIndex) remembers just the keys that are deleted somewhere, each with the
// position of its last deletion, and what categories each chunk holds. A record stands exactly when
// it comes after the last deletion of its key. Later passes (Snapshot) hand out the records that
// stand, looking only into chunks that hold the category asked for.
//
// Keys are compared by their encoded bytes. One node encodes a whole snapshot, so equal keys, which
// are tuples of atoms, binaries, numbers and lists, are equal bytes.
//
// Memory: a chunk, a decoded record, 16 bytes a chunk, and the deleted keys, which are those that
// were written to while the checkpoint was read. Bytes that are no snapshot are an Error (damaged)
// that names the offset.
#pragma once

#include "erlang_port/term.hpp"
#include "sidecar/definitions/item.hpp"
#include "sidecar/definitions/snapshot_source.hpp"
#include "sidecar/definitions/standing_counter.hpp"

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace hot_backup {

// What stands before a chunk's payload in the file: its length.
std::string chunk_header(std::string_view payload);

// The first pass. Filled with add() while the chunks stream by, or by scan() from the finished
// file.
class SnapshotIndex {
public:
    // Takes note of the next chunk; `payload` is its term, without the length in front.
    void add(std::string_view payload);

    // Reads a whole file. That it returns proves that the file parses from the first byte to the
    // last (`verify`).
    static SnapshotIndex scan(SnapshotSource& source);

    std::uint64_t items() const noexcept { return items_; }
    // The records that stand after the replay of all chunks so far.
    const SnapshotCounts& counts() const noexcept { return counter_.counts(); }

private:
    friend class Snapshot;

    struct Chunk {
        std::uint64_t first_item = 0;  // its position among all items
        std::uint32_t categories = 0;  // bit n: holds a record of the n-th category
    };

    std::vector<Chunk> chunks_;
    StandingCounter counter_;
    std::uint64_t items_ = 0;
    std::unordered_map<std::string, std::uint64_t> last_deletions_;  // identity -> item position
    std::uint64_t offset_ = 0;                                       // in the file
};

// What stands after the replay. The source outlives the snapshot and does not change.
class Snapshot {
public:
    Snapshot(SnapshotSource& source, SnapshotIndex index);

    // Calls `consume` with each record of a category, in the order of the file.
    void for_each(Category category, const std::function<void(const erlang::Term&)>& consume);

private:
    bool stands(const Item& item, std::uint64_t position) const;
    void for_each_item(std::uint32_t categories, const std::function<void(const Item&)>& consume);

    SnapshotSource& source_;
    SnapshotIndex index_;
};

}  // namespace hot_backup
