#include "tests/capture/image.hpp"

#include "sidecar/capture/file_rules.hpp"
#include "sidecar/repository/checksum.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <stdexcept>

namespace capture_test {

using namespace hot_backup;

namespace {

constexpr std::size_t differences_shown = 12;

struct stat status_of(const std::filesystem::path& path) {
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) {
        throw std::runtime_error("cannot look at " + path.string());
    }
    return status;
}

std::uint32_t mode_of(const struct stat& status) {
    return status.st_mode & 07777U;
}

std::string content_of(const std::filesystem::path& path, std::size_t size) {
    std::string content(size, '\0');
    std::ifstream file(path, std::ios::binary);
    file.read(content.data(), static_cast<std::streamsize>(size));
    if (!file || file.peek() != std::ifstream::traits_type::eof()) {
        throw std::runtime_error("cannot read " + path.string());
    }
    return content;
}

void read_file_into(Image& image, const std::string& name, const std::filesystem::path& path) {
    if (rule_for(name) == CopyRule::left_out) {
        return;
    }
    const struct stat status = status_of(path);
    image[name] = {"data", mode_of(status),
                   status.st_mtim.tv_sec * 1'000'000 + status.st_mtim.tv_nsec / 1000,
                   content_of(path, static_cast<std::size_t>(status.st_size))};
}

void read_directory_into(Image& image, const std::string& name, const std::filesystem::path& path) {
    image[name] = {"directory", mode_of(status_of(path)), 0, {}};
    for (const auto& entry : std::filesystem::directory_iterator(path)) {
        const std::string inner = name + '/' + entry.path().filename().string();
        if (entry.is_symlink()) {
            image[inner] = {"symlink", 0, 0, std::filesystem::read_symlink(entry.path()).string()};
        } else if (entry.is_directory()) {
            read_directory_into(image, inner, entry.path());
        } else {
            read_file_into(image, inner, entry.path());
        }
    }
}

std::string describe(const std::string& path, const ImageEntry& expected,
                     const ImageEntry& actual) {
    if (expected.kind != actual.kind) {
        return path + ": is a " + expected.kind + ", was copied as a " + actual.kind;
    }
    if (expected.content != actual.content) {
        const auto [at, other] = std::mismatch(expected.content.begin(), expected.content.end(),
                                               actual.content.begin(), actual.content.end());
        return path + ": has " + std::to_string(expected.content.size()) + " bytes, the copy " +
               std::to_string(actual.content.size()) + "; they differ at " +
               std::to_string(at - expected.content.begin());
    }
    if (expected.mode != actual.mode) {
        return path + ": has mode " + std::to_string(expected.mode) + ", the copy " +
               std::to_string(actual.mode);
    }
    return path + ": was written " + std::to_string(expected.mtime - actual.mtime) +
           " us after what the copy says";
}

}  // namespace

Extent MemoryStore::store(std::string_view bytes) {
    Extent extent;
    extent.pack = "memory";
    extent.size = bytes.size();
    extent.digest = checksum(bytes);
    const std::lock_guard lock(mutex_);
    extent.offset = blocks_.size();
    blocks_.emplace_back(bytes);
    bytes_ += bytes.size();
    return extent;
}

const std::string& MemoryStore::read(const Extent& extent) const {
    const std::lock_guard lock(mutex_);
    const std::string& block = blocks_.at(extent.offset);
    if (extent.pack.text() != "memory" || extent.encoding || extent.size != block.size() ||
        extent.size == 0 || extent.digest != checksum(block)) {
        throw std::runtime_error("an extent is not what was stored");
    }
    return block;
}

std::uint64_t MemoryStore::bytes() const {
    const std::lock_guard lock(mutex_);
    return bytes_;
}

Image read_tree(const std::vector<CaptureRoot>& roots, const std::vector<CaptureRoot>& files) {
    Image image;
    for (const CaptureRoot& root : roots) {
        if (std::filesystem::exists(root.path)) {
            read_directory_into(image, root.name, root.path);
        }
    }
    for (const CaptureRoot& file : files) {
        if (std::filesystem::exists(file.path)) {
            read_file_into(image, file.name, file.path);
        }
    }
    return image;
}

Image image_of(const std::vector<FileEntry>& entries, const ReadEntry& read) {
    Image image;
    for (const FileEntry& entry : entries) {
        ImageEntry made{entry.kind, 0, 0, {}};
        if (!entry.origin || entry.origin->path.empty()) {
            throw std::runtime_error(entry.path + " has no origin");
        }
        if (entry.kind == "symlink") {
            made.content = entry.target;
        } else {
            made.mode = entry.origin->mode;
        }
        if (entry.kind == "data") {
            made.content = read(entry);
            made.mtime = entry.origin->mtime.time_since_epoch().count();
            if (made.content.size() != entry.size) {
                throw std::runtime_error(entry.path + " is not as long as it says");
            }
        }
        if (!image.emplace(entry.path, std::move(made)).second) {
            throw std::runtime_error(entry.path + " is in the image twice");
        }
    }
    return image;
}

ReadEntry reader_of(const MemoryStore& store) {
    return [&store](const FileEntry& entry) {
        std::string content;
        for (const Extent& extent : entry.extents) {
            content += store.read(extent);
        }
        return content;
    };
}

std::string difference(const Image& expected, const Image& actual) {
    std::vector<std::string> lines;
    for (const auto& [path, entry] : expected) {
        const auto found = actual.find(path);
        if (found == actual.end()) {
            lines.push_back(path + ": is missing in the copy, a " + entry.kind);
        } else if (found->second != entry) {
            lines.push_back(describe(path, entry, found->second));
        }
    }
    for (const auto& [path, entry] : actual) {
        if (!expected.contains(path)) {
            lines.push_back(path + ": is not there, but in the copy, a " + entry.kind);
        }
    }
    std::string text;
    for (std::size_t index = 0; index < std::min(lines.size(), differences_shown); ++index) {
        text += lines[index] + '\n';
    }
    if (lines.size() > differences_shown) {
        text += "and " + std::to_string(lines.size() - differences_shown) + " more\n";
    }
    return text;
}

}  // namespace capture_test
