// A file system in memory that can lose power: what was not synced is then gone, in part or as a
// whole.
//
// It keeps two states, the one that programs see and the one that is on stable storage, and
// forgives nothing: a name is durable only after sync_directory(), content only after sync().
#pragma once

#include "sidecar/repository/file_system.hpp"

#include <functional>
#include <map>
#include <random>

namespace repository_test {

using hot_backup::FileStatus;
using hot_backup::OpenFile;
using hot_backup::Path;

class MemoryFileSystem final : public hot_backup::FileSystem {
public:
    MemoryFileSystem();

    std::unique_ptr<OpenFile> create(const Path& path) override;
    std::unique_ptr<OpenFile> open(const Path& path) override;
    std::unique_ptr<OpenFile> open_or_create(const Path& path) override;
    std::unique_ptr<OpenFile> open_for_lock(const Path& path) override;
    std::optional<FileStatus> status(const Path& path) override;
    // As much as anyone needs.
    hot_backup::Space space(const Path& path) override;
    std::vector<std::string> list(const Path& directory) override;
    void make_directory(const Path& path) override;
    void rename(const Path& from, const Path& to) override;
    void remove(const Path& path) override;
    // It knows no users.
    void inherit_owner(const Path& path) override;
    void sync_directory(const Path& directory) override;
    void sync_parent(const Path& path) override;

    // Nothing that was not synced survives.
    void cut_power();
    // Of each name and each file that was not synced, chance decides whether the old or the new
    // state survives, or something in between. Files that are open are cut off from the file
    // system.
    void cut_power(std::mt19937& random);

    // The content of a file, to be changed behind the back of the program.
    std::string& content(const Path& path);
    // Makes or replaces a file, durably.
    void put(const Path& path, std::string content);
    // The paths of all files.
    std::vector<Path> files();

    struct Node;

private:
    using NodePointer = std::shared_ptr<Node>;
    NodePointer find(const Path& path) const;
    Node& directory(const Path& path, std::string_view action) const;
    NodePointer make_node(FileStatus::Type type);
    // What is left of `node` after a power cut; `survives` decides for each change.
    NodePointer after_cut(const Node& node, const std::function<bool()>& survives,
                          const std::function<std::size_t(std::size_t)>& up_to);

    NodePointer root_;
    std::uint64_t last_inode_ = 0;
};

}  // namespace repository_test
