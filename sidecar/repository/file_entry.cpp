#include "sidecar/repository/file_entry.hpp"

#include "sidecar/json.hpp"
#include "sidecar/repository/identifier.hpp"
#include "sidecar/repository/pack.hpp"

#include <algorithm>

namespace hot_backup {
namespace {

// JSON is UTF-8, so its writer knows.
bool is_utf8(std::string_view text) {
    try {
        static_cast<void>(Json(text).dump());
        return true;
    } catch (const Json::type_error&) {
        return false;
    }
}

std::string problem_of_kind(const FileEntry& entry) {
    const bool symlink = entry.kind == "symlink";
    if (symlink && entry.target.empty()) {
        return "the symbolic link \"" + entry.path + "\" has no target";
    }
    if (!symlink && !entry.target.empty()) {
        return "\"" + entry.path + "\" has a target but is no symbolic link";
    }
    if (!is_utf8(entry.target)) {
        return "the target of \"" + entry.path + "\" is not UTF-8";
    }
    if ((symlink || entry.kind == "directory") && !entry.extents.empty()) {
        return "\"" + entry.path + "\" has content but is a " + entry.kind;
    }
    return {};
}

std::string problem_of_pack(const std::string& name, std::string_view backup_id) {
    if (!is_pack_name(name)) {
        return "\"" + name + "\" is not the name of a pack";
    }
    if (backup_of_pack(name) > backup_id) {
        return "pack \"" + name + "\" is newer than the backup";
    }
    return {};
}

std::string problem_of_extent(const Extent& extent) {
    if (extent.size == 0 || extent.stored_size() == 0) {
        return "an extent is empty";
    }
    if (extent.size > max_extent_size || extent.stored_size() > max_stored_size) {
        return "an extent is too large";
    }
    if (extent.offset < pack_header_size) {
        return "an extent begins inside the header of its pack";
    }
    return {};
}

std::string problem_of_extents(const FileEntry& entry, std::string_view backup_id) {
    std::uint64_t sum = 0;
    const PackName* known_pack = nullptr;
    for (const Extent& extent : entry.extents) {
        std::string problem = problem_of_extent(extent);
        if (problem.empty() && (known_pack == nullptr || extent.pack != *known_pack)) {
            problem = problem_of_pack(extent.pack, backup_id);
            known_pack = &extent.pack;
        }
        if (!problem.empty()) {
            return problem;
        }
        sum += extent.size;
    }
    if (sum != entry.size) {
        return "the extents of \"" + entry.path + "\" do not add up to its size";
    }
    return {};
}

}  // namespace

bool Extent::operator==(const Extent& other) const {
    const bool same_encoding =
        encoding == other.encoding || (encoding && other.encoding && *encoding == *other.encoding);
    return pack == other.pack && offset == other.offset && size == other.size &&
           digest == other.digest && same_encoding;
}

bool is_path_in_backup(std::string_view path) {
    if (path.find('\0') != std::string_view::npos) {
        return false;
    }
    for (std::size_t begin = 0; begin <= path.size();) {
        const std::size_t end = std::min(path.find('/', begin), path.size());
        const std::string_view part = path.substr(begin, end - begin);
        if (part.empty() || part == "." || part == "..") {
            return false;
        }
        begin = end + 1;
    }
    return is_utf8(path);
}

std::string problem_of(const FileEntry& entry, std::string_view backup_id) {
    if (!is_path_in_backup(entry.path)) {
        return "\"" + entry.path + "\" is not a path within a backup";
    }
    std::string problem = problem_of_kind(entry);
    return problem.empty() ? problem_of_extents(entry, backup_id) : problem;
}

}  // namespace hot_backup
