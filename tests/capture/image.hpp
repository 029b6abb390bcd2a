// An image of some directories: what lies in them, to be compared byte by byte. Made from the
// stopped tree itself, and from what LiveCopy says and stored.
#pragma once

#include "sidecar/capture/live_copy.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace capture_test {

// Keeps blocks in memory. Its store() may be called from several threads at once.
class MemoryStore {
public:
    hot_backup::Extent store(std::string_view bytes);
    hot_backup::StoreBlock store_block() {
        return [this](std::string_view bytes) { return store(bytes); };
    }
    // Throws when these are not what store() returned.
    const std::string& read(const hot_backup::Extent& extent) const;
    std::uint64_t bytes() const;

private:
    mutable std::mutex mutex_;
    std::vector<std::string> blocks_;
    std::uint64_t bytes_ = 0;
};

// A file, directory or symbolic link.
struct ImageEntry {
    std::string kind;
    std::uint32_t mode = 0;  // permission bits; 0 for a link
    std::int64_t mtime = 0;  // microseconds; of files only
    std::string content;     // of a file; a link's target

    bool operator==(const ImageEntry&) const = default;
};

using Image = std::map<std::string, ImageEntry>;

// Reads what is there now. Files whose rule is left_out are.
Image read_tree(const std::vector<hot_backup::CaptureRoot>& roots,
                const std::vector<hot_backup::CaptureRoot>& files);

// How the bytes of an entry are read back, whatever stored them.
using ReadEntry = std::function<std::string(const hot_backup::FileEntry& entry)>;

// Throws when an entry is not what an entry can be: a path twice, an origin that is missing.
Image image_of(const std::vector<hot_backup::FileEntry>& entries, const ReadEntry& read);
ReadEntry reader_of(const MemoryStore& store);

// What differs, for people: nothing when they are the same.
std::string difference(const Image& expected, const Image& actual);

}  // namespace capture_test
