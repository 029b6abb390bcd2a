#include "sidecar/repository/file_system.hpp"

#include "sidecar/repository/descriptor.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace hot_backup {
namespace {

constexpr mode_t file_mode = 0600;
constexpr mode_t directory_mode = 0700;

std::string hint_for(int error_number, const Path& path) {
    switch (error_number) {
        case ENOSPC:
            return "Free space on the file system of " + path.string() +
                   " or delete old backups, then try again.";
        case EDQUOT:
            return "The disk quota on the file system of " + path.string() +
                   " is used up: free space or raise the quota, then try again.";
        case EACCES:
        case EPERM:
            return "Run as the user who owns the repository, or give this user access to " +
                   path.string() + ".";
        case EROFS:
            return "The file system is mounted read-only: choose another repository, or look in "
                   "the "
                   "kernel log for the error that made it so.";
        case EIO:
            return "The storage failed: look in the kernel log, and do not trust this disk before "
                   "it "
                   "is checked.";
        case EMFILE:
        case ENFILE:
            return "Raise the limit of open files.";
        case ENOENT:
        case ENOTDIR:
            return "Check the path; if it is right, another process has removed or replaced a part "
                   "of it.";
        case EISDIR:
        case EEXIST:
            return "Something else has that name: move " + path.string() +
                   " away, or choose another repository.";
        case ELOOP:
            return "Replace the symbolic link " + path.string() + " by what it should lead to.";
        case ENAMETOOLONG:
            return "Choose a repository with a shorter path.";
        case EFBIG:
            return "Raise the limit of the size of files (ulimit -f), or choose a file system that "
                   "holds larger ones.";
        default:
            return "Check the file system that holds " + path.string() +
                   ", and look in the kernel log.";
    }
}

[[noreturn]] void fail(std::string_view action, const Path& path) {
    throw SystemError(errno, action, path);
}

FileStatus to_status(const struct stat& status) {
    FileStatus result;
    result.type = S_ISREG(status.st_mode)   ? FileStatus::Type::file
                  : S_ISDIR(status.st_mode) ? FileStatus::Type::directory
                                            : FileStatus::Type::other;
    result.size = static_cast<std::uint64_t>(status.st_size);
    result.identity = {status.st_dev, status.st_ino};
    return result;
}

int open_descriptor(const Path& path, int flags, std::string_view action) {
    const int number = retry([&] { return ::open(path.c_str(), flags | O_CLOEXEC, file_mode); });
    if (number < 0) {
        fail(action, path);
    }
    return number;
}

class PosixFile final : public OpenFile {
public:
    PosixFile(int descriptor, Path path) : descriptor_(descriptor), path_(std::move(path)) {}

    // The umask may have taken bits away from a file that was just made.
    void set_mode() {
        if (retry([&] { return ::fchmod(number(), file_mode); }) < 0) {
            fail("set the permissions of", path_);
        }
    }

    void require_regular(ErrorCode otherwise) {
        if (status().type != FileStatus::Type::file) {
            throw Error(otherwise, path_.string() + " is not a regular file",
                        "Something else has taken its name: move that away, and put the file back "
                        "if there is a copy of it.");
        }
    }

    void append(std::string_view bytes) override {
        while (!bytes.empty()) {
            const auto written = retry([&] {
                return ::pwrite(number(), bytes.data(), bytes.size(), static_cast<off_t>(end_));
            });
            if (written < 0) {
                fail("write to", path_);
            }
            end_ += static_cast<std::uint64_t>(written);
            bytes.remove_prefix(static_cast<std::size_t>(written));
        }
    }

    std::size_t read_at(std::uint64_t offset, std::span<char> buffer) override {
        std::size_t filled = 0;
        while (filled < buffer.size()) {
            const auto got = retry([&] {
                return ::pread(number(), buffer.data() + filled, buffer.size() - filled,
                               static_cast<off_t>(offset + filled));
            });
            if (got < 0) {
                fail("read from", path_);
            }
            if (got == 0) {
                break;
            }
            filled += static_cast<std::size_t>(got);
        }
        return filled;
    }

    FileStatus status() override {
        struct stat status {};
        if (::fstat(number(), &status) < 0) {
            fail("examine", path_);
        }
        return to_status(status);
    }

    void clear() override {
        if (retry([&] { return ::ftruncate(number(), 0); }) < 0) {
            fail("empty", path_);
        }
        end_ = 0;
        written_behind_ = 0;
    }

    void sync() override {
        if (retry([&] { return ::fsync(number()); }) < 0) {
            fail("sync", path_);
        }
    }

    // Waiting consumes a write error that fsync() would report later, so it must be thrown here.
    void write_behind(std::uint64_t window) override {
        flush_range(written_behind_, end_ - written_behind_, SYNC_FILE_RANGE_WRITE);
        written_behind_ = end_;
        if (end_ > window) {
            flush_range(
                0, end_ - window,
                SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
        }
    }

    void read_from_disk() noexcept override {
        ::posix_fadvise(number(), 0, 0, POSIX_FADV_DONTNEED);
        ::posix_fadvise(number(), 0, 0, POSIX_FADV_SEQUENTIAL);
    }

    bool try_lock() override {
        if (retry([&] { return ::flock(number(), LOCK_EX | LOCK_NB); }) == 0) {
            return true;
        }
        if (errno == EWOULDBLOCK) {
            return false;
        }
        fail("lock", path_);
    }

private:
    int number() const noexcept { return descriptor_.number(); }

    void flush_range(std::uint64_t offset, std::uint64_t size, unsigned flags) {
        // A size of zero means: to the end of the file.
        if (size == 0) {
            return;
        }
        const int result = retry([&] {
            return ::sync_file_range(number(), static_cast<off_t>(offset), static_cast<off_t>(size),
                                     flags);
        });
        // File systems that do not know how say so with one of these.
        if (result < 0 && errno != ENOSYS && errno != EINVAL && errno != EOPNOTSUPP &&
            errno != ESPIPE) {
            fail("write to", path_);
        }
    }

    Descriptor descriptor_;
    Path path_;
    std::uint64_t end_ =
        0;  // every file that is appended to was empty when it was opened or cleared
    std::uint64_t written_behind_ = 0;
};

class PosixFileSystem final : public FileSystem {
public:
    std::unique_ptr<OpenFile> create(const Path& path) override {
        auto file = std::make_unique<PosixFile>(
            open_descriptor(path, O_RDWR | O_CREAT | O_EXCL, "create"), path);
        file->set_mode();
        return file;
    }

    // Opening a FIFO waits for its other end, unless it is told not to.
    std::unique_ptr<OpenFile> open(const Path& path) override {
        auto file =
            std::make_unique<PosixFile>(open_descriptor(path, O_RDONLY | O_NONBLOCK, "open"), path);
        file->require_regular(ErrorCode::damaged);
        return file;
    }

    std::unique_ptr<OpenFile> open_or_create(const Path& path) override {
        auto file = std::make_unique<PosixFile>(
            open_descriptor(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, "create"), path);
        file->require_regular(ErrorCode::failed);
        file->set_mode();
        return file;
    }

    std::unique_ptr<OpenFile> open_for_lock(const Path& path) override {
        auto file =
            std::make_unique<PosixFile>(open_descriptor(path, O_RDWR | O_NONBLOCK, "lock"), path);
        file->require_regular(ErrorCode::damaged);
        return file;
    }

    std::optional<FileStatus> status(const Path& path) override {
        struct stat status {};
        if (::stat(path.c_str(), &status) == 0) {
            return to_status(status);
        }
        if (errno == ENOENT || errno == ENOTDIR) {
            return std::nullopt;
        }
        fail("examine", path);
    }

    Space space(const Path& path) override {
        struct statvfs space {};
        struct stat status {};
        if (::statvfs(path.c_str(), &space) != 0 || ::stat(path.c_str(), &status) != 0) {
            fail("examine the file system of", path);
        }
        return {std::uint64_t{space.f_bavail} * space.f_frsize, status.st_dev,
                std::uint64_t{space.f_blocks} * space.f_frsize};
    }

    std::vector<std::string> list(const Path& directory) override {
        const std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(directory.c_str()), ::closedir);
        if (!stream) {
            fail("list", directory);
        }
        std::vector<std::string> names;
        for (;;) {
            errno = 0;
            const dirent* entry = ::readdir(stream.get());
            if (entry == nullptr) {
                break;
            }
            const std::string_view name = entry->d_name;
            if (name != "." && name != "..") {
                names.emplace_back(name);
            }
        }
        if (errno != 0) {
            fail("list", directory);
        }
        std::sort(names.begin(), names.end());
        return names;
    }

    void make_directory(const Path& path) override {
        if (::mkdir(path.c_str(), directory_mode) == 0) {
            if (::chmod(path.c_str(), directory_mode) < 0) {
                fail("set the permissions of", path);
            }
            return;
        }
        const int error_number = errno;
        const auto existing = error_number == EEXIST ? status(path) : std::nullopt;
        if (!existing || existing->type != FileStatus::Type::directory) {
            throw SystemError(error_number, "make the directory", path);
        }
    }

    void rename(const Path& from, const Path& to) override {
        if (::rename(from.c_str(), to.c_str()) < 0) {
            fail("rename to", to);
        }
    }

    void remove(const Path& path) override {
        if (::unlink(path.c_str()) < 0 && errno != ENOENT) {
            fail("remove", path);
        }
    }

    // What has another owner already, or another name, is not what we made just now.
    void inherit_owner(const Path& path) override {
        if (::geteuid() != 0) {
            return;
        }
        struct stat parent {};
        struct stat own {};
        const Descriptor descriptor(
            open_descriptor(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, "open"));
        if (::stat(path.parent_path().c_str(), &parent) < 0 ||
            ::fstat(descriptor.number(), &own) < 0) {
            fail("examine", path);
        }
        const bool made_by_us = own.st_uid == 0 && (S_ISDIR(own.st_mode) || own.st_nlink == 1);
        if (made_by_us && (parent.st_uid != own.st_uid || parent.st_gid != own.st_gid) &&
            ::fchown(descriptor.number(), parent.st_uid, parent.st_gid) < 0) {
            fail("change the owner of", path);
        }
    }

    void sync_directory(const Path& directory) override {
        sync(Descriptor(open_descriptor(directory, O_RDONLY | O_DIRECTORY, "open")), directory);
    }

    void sync_parent(const Path& path) override {
        const Path parent = path.parent_path();
        const Descriptor descriptor(
            retry([&] { return ::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
        if (descriptor.number() < 0) {
            if (errno == EACCES) {
                return;
            }
            fail("open", parent);
        }
        sync(descriptor, parent);
    }

private:
    static void sync(const Descriptor& descriptor, const Path& directory) {
        // Some network file systems cannot sync a directory and do so by themselves: EINVAL.
        if (retry([&] { return ::fsync(descriptor.number()); }) < 0 && errno != EINVAL) {
            fail("sync", directory);
        }
    }
};

}  // namespace

bool is_within(std::string_view path, std::string_view directory) {
    return path.starts_with(directory) &&
           (path.size() == directory.size() || path[directory.size()] == '/' || directory == "/");
}

std::string megabytes(std::uint64_t bytes) {
    return std::to_string(bytes / 1'000'000) + " MB";
}

FileSystem& posix_file_system() {
    static PosixFileSystem file_system;
    return file_system;
}

SystemError::SystemError(int number, std::string_view action, const Path& path)
    : Error(number == ENOENT ? ErrorCode::not_found : ErrorCode::failed,
            "cannot " + std::string(action) + ' ' + path.string() + ": " +
                std::system_category().message(number),
            hint_for(number, path)),
      number_(number) {}

bool is_damage(const Error& error) {
    const auto* system = dynamic_cast<const SystemError*>(&error);
    return error.code() == ErrorCode::damaged || (system != nullptr && system->number() == EIO);
}

bool SystemError::no_space() const noexcept {
    return number_ == ENOSPC || number_ == EDQUOT;
}

}  // namespace hot_backup
