#include "sidecar/restore/stream_files.hpp"

#include <algorithm>

namespace hot_backup {

std::vector<Path> stream_indexes(const Path& directory) {
    std::vector<Path> found;
    for (const auto& entry : std::filesystem::directory_iterator(directory)) {
        if (entry.path().extension() == ".index") {
            found.push_back(entry.path());
        }
    }
    std::ranges::sort(found);
    return found;
}

Path stream_segment_of(Path index) {
    return index.replace_extension(".segment");
}

}  // namespace hot_backup
