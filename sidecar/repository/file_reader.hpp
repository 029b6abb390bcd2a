// Reads the content of one file of a backup as a stream, checked extent by extent.
#pragma once

#include "sidecar/repository/repository.hpp"

namespace hot_backup {

class FileReader {
public:
    // The repository outlives the reader. `backup_id` is the backup whose entry it is; empty: the
    // one that made the last of the packs.
    FileReader(const Repository& repository, FileEntry entry, std::string backup_id = {});

    const FileEntry& entry() const noexcept { return entry_; }

    // The next piece of the content (never empty, at most an extent: 16 MiB), valid until the next
    // call; nothing at the end. Error damaged: the bytes are not what was written; it names file,
    // pack and offset. Error not_found: the backup was deleted meanwhile. Error failed: this
    // version cannot read them.
    std::optional<std::string_view> next();

private:
    const Repository& repository_;
    FileEntry entry_;
    std::string backup_id_;
    std::size_t next_extent_ = 0;
    std::optional<PackReader> pack_;
};

}  // namespace hot_backup
