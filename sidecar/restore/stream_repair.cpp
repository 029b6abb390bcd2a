#include "sidecar/restore/stream_repair.hpp"

#include "sidecar/restore/stream_files.hpp"
#include "sidecar/restore/target_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace hot_backup {

bool repair_stream(const Path& directory) {
    auto& disk = posix_file_system();
    const auto indexes = stream_indexes(directory);
    if (indexes.empty() ||
        disk.status(indexes.back())->size >= stream_file_header + stream_index_record) {
        return false;
    }
    const Path segment = stream_segment_of(indexes.back());
    const auto status = disk.status(segment);
    if (!status) {
        disk.remove(indexes.back());
        return true;
    }
    if (status->size <= stream_file_header) {
        return false;
    }
    const Descriptor file = open_target(segment, O_RDWR);
    if (::ftruncate(file.number(), static_cast<off_t>(stream_file_header)) < 0) {
        throw target_error(errno, "shorten", segment);
    }
    return true;
}

}  // namespace hot_backup
