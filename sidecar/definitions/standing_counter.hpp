// Counts the records that stand after the replay, while the items stream by; of queues and exchanges
// those that a restored node has.
//
// A deletion takes back the records of its key that came before it. To know how many those are, the
// counter remembers the hash of each key of the table that is being streamed (8 bytes a record,
// given back when the next table begins), and the keys that were deleted in it: corrections stand
// next to their table. Hashes have 64 bits: with a million records and a thousand deletions, a
// wrong count is less likely than one in ten billion, and only a count would be wrong.
#pragma once

#include "sidecar/definitions/item.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

namespace hot_backup {

struct SnapshotCounts {
    std::array<std::uint64_t, category_count> categories{};

    std::uint64_t operator[](Category category) const noexcept {
        return categories[static_cast<std::size_t>(category)];
    }
};

class StandingCounter {
public:
    // An item of kind record or deletion; others do not count.
    void add(const Item& item);

    const SnapshotCounts& counts() const noexcept { return counts_; }

private:
    void begin_table(std::string_view table);
    // Forgets the records of this key and returns how many there were.
    std::uint64_t take_back(const Item& item);

    SnapshotCounts counts_;
    std::string table_;
    std::vector<std::uint64_t> keys_;  // hashes of keys that were not deleted before they came
    bool sorted_ = false;
    std::unordered_map<std::string, std::uint64_t> corrected_;  // deleted keys: records since
};

}  // namespace hot_backup
