#include "sidecar/restore/stream_repair.hpp"

#include "sidecar/restore/target_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <vector>

namespace hot_backup {
namespace {

// osiris_log: "OSIL" or "OSII" and a version, then chunks or records.
constexpr std::uint64_t file_header = 8;
constexpr std::uint64_t index_record = 29;

std::optional<std::uint64_t> size_of(const Path& path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) == 0) {
        return static_cast<std::uint64_t>(status.st_size);
    }
    if (errno == ENOENT) {
        return std::nullopt;
    }
    throw target_error(errno, "examine", path);
}

// Their names are the numbers of their first records, of twenty digits.
std::optional<Path> newest_index(const Path& directory) {
    std::optional<Path> newest;
    for (const auto& entry : std::filesystem::directory_iterator(directory)) {
        if (entry.path().extension() == ".index" && (!newest || *newest < entry.path())) {
            newest = entry.path();
        }
    }
    return newest;
}

}  // namespace

bool repair_stream(const Path& directory) {
    const auto index = newest_index(directory);
    if (!index || *size_of(*index) >= file_header + index_record) {
        return false;
    }
    const Path segment = Path(*index).replace_extension(".segment");
    const auto size = size_of(segment);
    if (!size) {
        if (::unlink(index->c_str()) < 0) {
            throw target_error(errno, "remove", *index);
        }
        return true;
    }
    if (*size <= file_header) {
        return false;
    }
    const Descriptor file = open_target(segment, O_RDWR);
    if (::ftruncate(file.number(), static_cast<off_t>(file_header)) < 0) {
        throw target_error(errno, "shorten", segment);
    }
    return true;
}

}  // namespace hot_backup
