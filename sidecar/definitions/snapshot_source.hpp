// Where the bytes of `metadata/snapshot` come from.
//
// The definitions layer reads a snapshot several times over, always from its beginning, and knows
// neither repositories nor files: whoever has the bytes implements this. Both functions may throw
// hot_backup::Error, which passes through unchanged.
#pragma once

#include <optional>
#include <string_view>

namespace hot_backup {

class SnapshotSource {
public:
    SnapshotSource() = default;
    SnapshotSource(const SnapshotSource&) = delete;
    SnapshotSource& operator=(const SnapshotSource&) = delete;
    virtual ~SnapshotSource() = default;

    // The next next() returns the first bytes again. Called before the first next() too.
    virtual void rewind() = 0;

    // The next bytes, any number but none, valid until the next call of either function; nothing at
    // the end.
    virtual std::optional<std::string_view> next() = 0;
};

}  // namespace hot_backup
