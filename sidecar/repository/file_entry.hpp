// One file of a backup: what it is and where its bytes lie. docs/format.md, "ID.manifest".
#pragma once

#include "sidecar/repository/checksum.hpp"
#include "sidecar/repository/pack_name.hpp"
#include "sidecar/repository/timestamp.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hot_backup {

inline constexpr std::uint64_t max_extent_size = std::uint64_t{16} << 20;
// A codec may make an extent longer, but not by much.
inline constexpr std::uint64_t max_stored_size = max_extent_size + (std::uint64_t{1} << 20);

// Bytes of a file, in a pack. Small, since a backup may have a million of them.
struct Extent {
    // How the stored bytes became what they are, where they are not the content itself.
    struct Encoding {
        std::string codec;
        std::uint64_t stored = 0;
        Digest stored_digest;
        bool operator==(const Encoding&) const = default;
    };

    PackName pack;
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
    Digest digest;
    std::shared_ptr<const Encoding> encoding;  // null: the bytes are stored as they are

    std::uint64_t stored_size() const noexcept { return encoding ? encoding->stored : size; }
    const Digest& stored_digest() const noexcept {
        return encoding ? encoding->stored_digest : digest;
    }
    bool operator==(const Extent& other) const;
};

// What the node said about a file of its own.
struct Origin {
    std::string path;
    std::uint32_t mode = 0;  // permission bits
    Timestamp mtime;
    bool operator==(const Origin&) const = default;
};

struct FileEntry {
    std::string path;  // within the backup
    // "metadata", "configuration", "statistics"; of the node's own files "data", "directory" (no
    // content) and "symlink" (no content but a target).
    std::string kind;
    std::uint64_t size = 0;
    std::optional<Origin> origin;
    std::vector<Extent> extents;
    std::string target;  // of a symbolic link; empty for all others
    bool operator==(const FileEntry&) const = default;
};

// Whether `path` may name a file of a backup: relative, `/` between parts, no empty, `.` or `..`
// part, UTF-8, no NUL.
bool is_path_in_backup(std::string_view path);

// What the format has against this entry in a manifest of this backup; empty when nothing.
std::string problem_of(const FileEntry& entry, std::string_view backup_id);

}  // namespace hot_backup
