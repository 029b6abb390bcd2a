#include "sidecar/capture/image_entries.hpp"

namespace hot_backup {
namespace {

Origin origin_of(std::string path, const NodeFileStatus& status) {
    const std::chrono::nanoseconds mtime(status.mtime_ns);
    return {std::move(path), status.mode,
            Timestamp(std::chrono::floor<std::chrono::microseconds>(mtime))};
}

void add_entries(const Directory& directory, std::vector<FileEntry>& entries) {
    const std::string path = WatchedTree::image_path_of(directory);
    const std::string origin = WatchedTree::origin_of(directory);
    entries.push_back({path, "directory", 0, origin_of(origin, directory.status), {}, {}});
    for (const auto& [name, file] : directory.files) {
        entries.push_back(
            file_entry(path + "/" + file->name, origin + "/" + file->name, *file->copy));
    }
    for (const auto& [name, link] : directory.links) {
        entries.push_back({path + "/" + name,
                           "symlink",
                           0,
                           origin_of(origin + "/" + name, link.status),
                           {},
                           link.target});
    }
    for (const auto& [name, child] : directory.directories) {
        add_entries(*child, entries);
    }
}

}  // namespace

FileEntry file_entry(std::string path, std::string origin, const FileCopy& copy) {
    return {std::move(path), "data", copy.size, origin_of(std::move(origin), copy.status),
            copy.extents,    {}};
}

void add_entries(const WatchedTree& tree, std::vector<FileEntry>& entries) {
    for (const auto& root : tree.roots()) {
        add_entries(*root, entries);
    }
}

}  // namespace hot_backup
