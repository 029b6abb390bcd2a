// The files of the node as the operating system shows them: status, opening, reading. Nothing here
// changes anything of the node, not even a time of access where that can be avoided.
//
// What is gone is no error, since a running node deletes files at any moment. Everything else that
// goes wrong is an Error that names the file.
#pragma once

#include "sidecar/repository/descriptor.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hot_backup {

enum class NodeFileKind : std::uint8_t { file, directory, symlink, other };

struct NodeFileStatus {
    NodeFileKind kind = NodeFileKind::other;
    std::uint32_t mode = 0;   // permission bits
    std::uint32_t names = 0;  // hard links
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::int64_t birth_ns = 0;  // 0 where the file system does not know it
    std::uint64_t size = 0;
    std::uint64_t allocated = 0;  // bytes; less than `size` where there are holes
    std::int64_t mtime_ns = 0;
    std::int64_t ctime_ns = 0;

    // Whether both are of one file, whatever it was called. An inode number alone is given to the
    // next file as soon as one is deleted.
    bool same_file(const NodeFileStatus& other) const noexcept {
        return device == other.device && inode == other.inode && birth_ns == other.birth_ns;
    }
    // Whether nothing was written to the file between the two, as far as time stamps can tell.
    bool same_state(const NodeFileStatus& other) const noexcept {
        return same_file(other) && size == other.size && mode == other.mode &&
               mtime_ns == other.mtime_ns && ctime_ns == other.ctime_ns;
    }
};

// Of the name itself where it is a symbolic link. Nothing when there is none.
std::optional<NodeFileStatus> status_of(const std::string& path);
NodeFileStatus status_of(const Descriptor& file, const std::string& path);

// Opens a regular file for reading, without following a symbolic link. Empty when that fails:
// `error` is the errno then, 0 when there is no such regular file.
Descriptor open_regular_file(const std::string& path, int& error);
// The same, where every failure is an Error: but for an empty descriptor when there is none.
Descriptor open_regular_file(const std::string& path);

// Fills the buffer from `offset` on; less only where the file ends.
std::size_t read_at(const Descriptor& file, const std::string& path, std::uint64_t offset,
                    std::span<char> buffer);

struct ListedName {
    std::string name;
    std::optional<NodeFileKind> kind;  // where the file system says it in the listing
};
// Nothing when there is no such directory.
std::optional<std::vector<ListedName>> list_directory(const std::string& path);

// Nothing when there is no such link.
std::optional<std::string> read_link(const std::string& path);

// The path without symbolic links. Nothing when there is no such file or directory.
std::optional<std::string> resolve(const std::string& path);

// With what an operator can do about this error.
[[noreturn]] void throw_read_error(std::string_view action, std::string_view path, int error);

std::int64_t wall_clock_ns();

}  // namespace hot_backup
