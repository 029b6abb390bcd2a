#include "sidecar/repository/names.hpp"

namespace hot_backup {

std::vector<std::string> list_by_suffix(FileSystem& file_system, const Path& directory,
                                        std::string_view suffix) {
    std::vector<std::string> stems;
    for (std::string& name : file_system.list(directory)) {
        if (name.ends_with(suffix)) {
            name.resize(name.size() - suffix.size());
            stems.push_back(std::move(name));
        }
    }
    return stems;
}

}  // namespace hot_backup
