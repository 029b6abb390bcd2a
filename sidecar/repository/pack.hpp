// Packs: large files that hold the extents of a backup back to back. docs/format.md,
// "ID.NNNN.pack".
#pragma once

#include "sidecar/repository/manifest.hpp"

#include <functional>

namespace hot_backup {

inline constexpr std::uint64_t pack_header_size = 128;
inline constexpr std::uint64_t default_pack_size = std::uint64_t{1} << 30;

// Writes the packs of one backup, one after the other; the first extent begins the first one.
// Memory: one buffer.
class PackWriter {
public:
    // A pack that has reached `pack_size` bytes takes no further extent.
    PackWriter(FileSystem& file_system, Path directory, std::string backup_id,
               std::uint64_t pack_size = default_pack_size);

    // Adds to the extent that is being written, and begins one where there is none.
    void append(std::string_view bytes);
    std::uint64_t extent_size() const noexcept { return extent_size_; }
    // Ends the extent, which has at least one byte.
    Extent end_extent();
    // An extent in one piece (1 byte or more) with this digest, while none is being written.
    Extent store(std::string_view bytes, const Digest& digest);

    // Every pack and its name in the directory are on stable storage when this returns. Nothing is
    // appended afterwards. `after_sync` is called after each sync.
    void finish(const std::function<void()>& after_sync);
    // The packs made so far; with their exact lengths after finish().
    const std::vector<PackSize>& packs() const noexcept { return packs_; }

private:
    // The extent's place is the end of the last pack, or the beginning of a new one.
    void begin_extent();
    void begin_pack();
    void end_pack();
    void write(std::string_view bytes);
    void flush();

    FileSystem& file_system_;
    Path directory_;
    std::string backup_id_;
    std::uint64_t pack_size_;
    std::vector<PackSize> packs_;  // the last one is being written while file_ is open
    PackName name_;                // of that one
    std::unique_ptr<OpenFile> file_;
    std::string buffer_;
    Checksum checksum_;
    std::uint64_t extent_offset_ = 0;
    std::uint64_t extent_size_ = 0;
};

// Reads one pack.
class PackReader {
public:
    enum class From { cache, disk };

    // Error not_found: no such pack. Error failed: a newer version wrote it.
    PackReader(FileSystem& file_system, const Path& path, std::string name,
               From from = From::cache);

    const std::string& name() const noexcept { return name_; }
    std::uint64_t size() const noexcept { return size_; }
    // What is wrong with the header; empty when nothing is. The extents can be read all the same:
    // each has its digest.
    const std::string& header_problem() const noexcept { return header_problem_; }

    // The stored bytes of an extent of this pack, checked; valid until the next call. Error damaged
    // when they are not what was written.
    std::string_view read(const Extent& extent);
    // Bytes that no extent may cover, 1 or more of them; valid until the next call. Error damaged
    // when the pack ends before they do.
    std::string_view read_unchecked(std::uint64_t offset, std::uint64_t size);

private:
    void check_header();
    Error damaged_at(std::uint64_t offset, const std::string& reason) const;

    Path path_;
    std::string name_;
    std::unique_ptr<OpenFile> file_;
    std::uint64_t size_ = 0;
    std::string header_problem_;
    std::string buffer_;
};

// The 128 bytes that every pack begins with.
std::string pack_header(std::string_view name);

}  // namespace hot_backup
