// Where the files of a backup belong in a restored node.
#pragma once

#include "sidecar/repository/repository.hpp"
#include "sidecar/restore/relocation.hpp"
#include "sidecar/restore/restore.hpp"

#include <map>
#include <set>

namespace hot_backup {

// What has to be known of a backup before its first file is written.
class Layout {
public:
    // Reads the manifest through. Error failed: the backup holds no files of the node, or holds
    // what this version has no place for.
    Layout(const Repository& repository, const std::string& backup_id);

    const Summary& summary() const noexcept { return summary_; }
    // Of the files that are restored.
    std::uint64_t bytes() const noexcept { return bytes_; }
    // What they take on a disk, with a little to spare.
    std::uint64_t space() const noexcept { return space_; }

    enum class Part { none, data, feature_flags, configuration };
    struct Place {
        Part part = Part::none;  // none: it is not restored
        Path path;               // within the part; empty for the part itself
    };
    Place place_of(const std::string& path) const;

    std::vector<MovedPart> moved_parts(const Path& data_directory) const;
    Relocation relocation(const Path& data_directory) const;

private:
    void add(const FileEntry& entry);

    Summary summary_;
    std::map<std::string, std::string> origins_;  // of the roots
    std::uint64_t bytes_ = 0;
    std::uint64_t space_ = 0;
};

}  // namespace hot_backup
