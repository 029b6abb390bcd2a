// The metadata of a backup, read from its packs: what the definitions layer reads, and what verify
// reads through.
#pragma once

#include "sidecar/definitions/snapshot_source.hpp"
#include "sidecar/repository/file_reader.hpp"

#include <string>

namespace hot_backup {

// The path of the metadata within a backup: docs/format.md, "Files of a backup".
inline constexpr std::string_view snapshot_path = "metadata/snapshot";

// What it hands out is checked against the extents' digests. Holds one extent in memory. A signal
// ends the reading: see interrupt.hpp.
class StoredSnapshot final : public SnapshotSource {
public:
    // The repository outlives it. Error not_found when there is no such backup or it has no
    // metadata.
    StoredSnapshot(const Repository& repository, const std::string& backup_id);

    void rewind() override;
    std::optional<std::string_view> next() override;

private:
    const Repository& repository_;
    std::string backup_id_;
    FileEntry entry_;
    std::optional<FileReader> reader_;
};

}  // namespace hot_backup
