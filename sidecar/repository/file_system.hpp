// The repository's one seam to the operating system.
//
// Everything the repository does to a disk goes through FileSystem, so that tests can fail any
// single call, lose what was not synced, or run in memory. Whoever implements it handles EINTR and
// short reads and writes inside: a call does all of its work or throws Error. Such an error names
// the path, says what the system said, and hints at what to do about it.
//
// Directories are made 0700 and files 0600, whatever the umask is. One thread uses an OpenFile at a
// time; a FileSystem may be used by several.
#pragma once

#include "erlang_port/error.hpp"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hot_backup {

using Path = std::filesystem::path;

// Whether `path` is `directory` or lies below it. By their text alone: symbolic links and dots are
// resolved before.
bool is_within(std::string_view path, std::string_view directory);

// Tells files apart whatever they are called.
struct FileIdentity {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    bool operator==(const FileIdentity&) const = default;
};

struct FileStatus {
    enum class Type { file, directory, other };
    Type type = Type::file;
    std::uint64_t size = 0;
    FileIdentity identity;
};

// Of the file system that holds something.
struct Space {
    std::uint64_t available = 0;  // bytes that we may still use
    std::uint64_t device = 0;     // as in FileIdentity
    std::uint64_t total = 0;      // bytes
};

// "17 MB", for people.
std::string megabytes(std::uint64_t bytes);

// Closed by its destructor. A writer calls sync() before: closing reports nothing.
class OpenFile {
public:
    OpenFile() = default;
    OpenFile(const OpenFile&) = delete;
    OpenFile& operator=(const OpenFile&) = delete;
    virtual ~OpenFile() = default;

    virtual void append(std::string_view bytes) = 0;
    // Fills the buffer from `offset` on; returns less than its size only at the end of the file.
    virtual std::size_t read_at(std::uint64_t offset, std::span<char> buffer) = 0;
    virtual FileStatus status() = 0;
    // Empties the file.
    virtual void clear() = 0;
    // Content and length are on stable storage when this returns.
    virtual void sync() = 0;
    // Lets the kernel write out what was appended, and waits when more than `window` bytes are
    // not written yet. A hint for a short sync() and few dirty pages: it makes nothing durable.
    virtual void write_behind(std::uint64_t window) = 0;
    // The next reads come from the disk, and run through the file in order. A hint.
    virtual void read_from_disk() noexcept = 0;
    // Takes the file's exclusive flock(); false when another holds it. Released by closing.
    virtual bool try_lock() = 0;
};

class FileSystem {
public:
    FileSystem() = default;
    FileSystem(const FileSystem&) = delete;
    FileSystem& operator=(const FileSystem&) = delete;
    virtual ~FileSystem() = default;

    // A new, empty file; fails when there is one.
    virtual std::unique_ptr<OpenFile> create(const Path& path) = 0;
    // For reading. Error not_found when there is none; damaged when it is not a regular file.
    virtual std::unique_ptr<OpenFile> open(const Path& path) = 0;
    // For reading and writing; made when there is none. Anything but a regular file is an error,
    // and so is a symbolic link.
    virtual std::unique_ptr<OpenFile> open_or_create(const Path& path) = 0;
    // As open(), and good for try_lock() on any file system: NFS wants one that may be written to.
    virtual std::unique_ptr<OpenFile> open_for_lock(const Path& path) = 0;

    // Nothing when there is none.
    virtual std::optional<FileStatus> status(const Path& path) = 0;
    // The names in a directory, in byte order, without `.` and `..`.
    virtual std::vector<std::string> list(const Path& directory) = 0;
    virtual Space space(const Path& path) = 0;
    // Leaves an existing directory as it is.
    virtual void make_directory(const Path& path) = 0;
    // Replaces what is called `to`.
    virtual void rename(const Path& from, const Path& to) = 0;
    // Does nothing when there is none.
    virtual void remove(const Path& path) = 0;
    // Does nothing unless we are root: gives a file or directory that we made the owner of the
    // directory that holds it. What root makes in the repository of another user, that one can
    // read and delete.
    virtual void inherit_owner(const Path& path) = 0;
    // The names in the directory are on stable storage when this returns.
    virtual void sync_directory(const Path& directory) = 0;
    // As sync_directory(), for the directory that holds `path`. Does nothing where we may not
    // read that one: it is not ours, and what we make in `path` is synced by itself.
    virtual void sync_parent(const Path& path) = 0;
};

// The real one. It has no state.
FileSystem& posix_file_system();

// The Error for a system call that failed: "cannot <action> <path>: <reason>", with a hint where
// one helps. Its code is not_found when there is no such file, else failed. Every implementation of
// FileSystem throws this.
class SystemError : public Error {
public:
    SystemError(int number, std::string_view action, const Path& path);

    // The errno.
    int number() const noexcept { return number_; }
    bool no_space() const noexcept;

private:
    int number_;
};

// Whether what was written cannot be read any more, as opposed to a reason why nobody can tell.
bool is_damage(const Error& error);

}  // namespace hot_backup
