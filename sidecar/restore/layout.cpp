#include "sidecar/restore/layout.hpp"

#include "sidecar/restore/target.hpp"

#include <algorithm>
#include <array>

namespace hot_backup {
namespace {

constexpr std::uint64_t block = 4096;

// Directories that a node may keep outside of its data directory. In a restored one they are where
// RabbitMQ has them by default; the write-ahead log of quorum queues, which by default is among
// these, keeps a directory of its own.
constexpr std::array outer_roots{"quorum", "quorum_wal", "stream"};

std::string root_of(const std::string& path) {
    return path.substr(0, path.find('/'));
}

bool is_outer_root(const std::string& root) {
    return std::ranges::find(outer_roots, root) != outer_roots.end();
}

std::string below_root(const std::string& path) {
    const auto slash = path.find('/');
    return slash == std::string::npos ? std::string() : path.substr(slash + 1);
}

}  // namespace

Layout::Layout(const Repository& repository, const std::string& backup_id) {
    ManifestReader manifest = repository.read_manifest(backup_id);
    summary_ = manifest.summary();
    while (const auto entry = manifest.next_file()) {
        add(*entry);
    }
    if (!origins_.contains("data")) {
        throw Error(ErrorCode::failed, "backup " + backup_id + " holds no files of the node",
                    "Use `definitions` for the metadata that it holds, or another backup.");
    }
    space_ += space_ / 100;
}

void Layout::add(const FileEntry& entry) {
    const bool of_the_node =
        entry.kind == "data" || entry.kind == "directory" || entry.kind == "symlink";
    if (of_the_node && entry.path.find('/') == std::string::npos && entry.origin) {
        origins_[entry.path] = entry.origin->path;
    }
    if (place_of(entry.path).part != Part::none) {
        bytes_ += entry.size;
        space_ += (entry.size + block - 1) / block * block + (entry.kind == "data" ? 0 : block);
    } else if (of_the_node && root_of(entry.path) != "data") {
        throw Error(ErrorCode::failed,
                    "this program knows no place for " + entry.path + " of the backup",
                    "Upgrade rabbitmq-hot-backup: a newer one wrote this.");
    }
}

Layout::Place Layout::place_of(const std::string& path) const {
    const std::string root = root_of(path);
    const std::string rest = below_root(path);
    if (root == "data") {
        // What an earlier configuration of the node left where another directory comes now.
        return is_outer_root(root_of(rest)) && origins_.contains(root_of(rest))
                   ? Place{}
                   : Place{Part::data, rest};
    }
    if (is_outer_root(root)) {
        return {Part::data, path};
    }
    if (path == "feature_flags") {
        return {Part::feature_flags, {}};
    }
    if (root == "configuration") {
        return {Part::configuration, rest};
    }
    return {};
}

std::vector<MovedPart> Layout::moved_parts(const Path& data_directory) const {
    std::vector<MovedPart> moved;
    for (const char* root : outer_roots) {
        if (const auto origin = origins_.find(root); origin != origins_.end()) {
            moved.push_back({root, origin->second, data_directory / root});
        }
    }
    const auto flags = origins_.find("feature_flags");
    const std::string suffix(feature_flags_suffix);
    if (flags != origins_.end() && flags->second != origins_.at("data") + suffix) {
        moved.push_back({"feature_flags", flags->second, data_directory.string() + suffix});
    }
    return moved;
}

Relocation Layout::relocation(const Path& data_directory) const {
    Relocation relocation;
    relocation.add(summary_.data_dir, data_directory);
    // As the node names it, and without symbolic links.
    relocation.add(origins_.at("data"), data_directory);
    for (const auto& part : moved_parts(data_directory)) {
        relocation.add(part.from, part.to);
    }
    return relocation;
}

}  // namespace hot_backup
