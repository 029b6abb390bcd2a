#include "sidecar/capture/node_file.hpp"

#include "erlang_port/error.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <array>
#include <cerrno>
#include <climits>
#include <ctime>
#include <memory>
#include <system_error>

namespace hot_backup {
namespace {

constexpr std::int64_t ns_per_second = 1'000'000'000;
constexpr unsigned statx_fields = STATX_BASIC_STATS | STATX_BTIME;

bool is_gone(int error) {
    return error == ENOENT || error == ENOTDIR;
}

std::int64_t nanoseconds(const struct statx_timestamp& time) {
    return time.tv_sec * ns_per_second + time.tv_nsec;
}

NodeFileKind kind_of(unsigned mode) {
    return S_ISREG(mode)   ? NodeFileKind::file
           : S_ISDIR(mode) ? NodeFileKind::directory
           : S_ISLNK(mode) ? NodeFileKind::symlink
                           : NodeFileKind::other;
}

NodeFileStatus to_status(const struct statx& from) {
    NodeFileStatus status;
    status.kind = kind_of(from.stx_mode);
    status.mode = from.stx_mode & 07777U;
    status.names = from.stx_nlink;
    status.device = makedev(from.stx_dev_major, from.stx_dev_minor);
    status.inode = from.stx_ino;
    status.birth_ns = (from.stx_mask & STATX_BTIME) != 0 ? nanoseconds(from.stx_btime) : 0;
    status.size = from.stx_size;
    status.allocated = from.stx_blocks * 512;
    status.mtime_ns = nanoseconds(from.stx_mtime);
    status.ctime_ns = nanoseconds(from.stx_ctime);
    return status;
}

std::optional<NodeFileKind> kind_of(const dirent& entry) {
    switch (entry.d_type) {
        case DT_REG:
            return NodeFileKind::file;
        case DT_DIR:
            return NodeFileKind::directory;
        case DT_LNK:
            return NodeFileKind::symlink;
        case DT_UNKNOWN:
            return {};
        default:
            return NodeFileKind::other;
    }
}

std::string hint_for(int error, std::string_view path) {
    switch (error) {
        case EACCES:
        case EPERM:
            return "Run as the user that RabbitMQ runs as, or give this user read access to " +
                   std::string(path) + ".";
        case EIO:
            return "The storage of the node failed: look in the kernel log.";
        case EMFILE:
        case ENFILE:
            return "Raise the limit of open files (LimitNOFILE= of the service, or ulimit -n), "
                   "then try again.";
        default:
            return "Check the file system of the node's data directory, and look in the kernel "
                   "log.";
    }
}

}  // namespace

void throw_read_error(std::string_view action, std::string_view path, int error) {
    throw Error(ErrorCode::failed,
                "cannot " + std::string(action) + " " + std::string(path) + ": " +
                    std::generic_category().message(error),
                hint_for(error, path));
}

std::optional<NodeFileStatus> status_of(const std::string& path) {
    struct statx status {};
    if (::statx(AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW, statx_fields, &status) < 0) {
        if (is_gone(errno)) {
            return {};
        }
        throw_read_error("read the status of", path, errno);
    }
    return to_status(status);
}

NodeFileStatus status_of(const Descriptor& file, const std::string& path) {
    struct statx status {};
    if (::statx(file.number(), "", AT_EMPTY_PATH, statx_fields, &status) < 0) {
        throw_read_error("read the status of", path, errno);
    }
    return to_status(status);
}

Descriptor open_regular_file(const std::string& path, int& error) {
    // Without O_NONBLOCK a pipe that just took the name would hold us up.
    constexpr int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
    int number = ::open(path.c_str(), flags | O_NOATIME);
    if (number < 0 && errno == EPERM) {
        // Not our own file.
        number = ::open(path.c_str(), flags);
    }
    error = number < 0 ? errno : 0;
    if (is_gone(error) || error == ELOOP || error == ENXIO) {
        error = 0;
    }
    return Descriptor(number);
}

Descriptor open_regular_file(const std::string& path) {
    int error = 0;
    Descriptor file = open_regular_file(path, error);
    if (error != 0) {
        throw_read_error("open", path, error);
    }
    return file;
}

std::size_t read_at(const Descriptor& file, const std::string& path, std::uint64_t offset,
                    std::span<char> buffer) {
    std::size_t filled = 0;
    while (filled < buffer.size()) {
        const ssize_t count = retry([&] {
            return ::pread(file.number(), buffer.data() + filled, buffer.size() - filled,
                           static_cast<off_t>(offset + filled));
        });
        if (count < 0) {
            throw_read_error("read", path, errno);
        }
        if (count == 0) {
            break;
        }
        filled += static_cast<std::size_t>(count);
    }
    return filled;
}

std::optional<std::vector<ListedName>> list_directory(const std::string& path) {
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(
        [&] {
            const int number =
                ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            return number < 0 ? nullptr : ::fdopendir(number);
        }(),
        &::closedir);
    if (!directory) {
        if (is_gone(errno) || errno == ELOOP) {
            return {};
        }
        throw_read_error("list", path, errno);
    }
    std::vector<ListedName> names;
    for (;;) {
        errno = 0;
        const dirent* entry = ::readdir(directory.get());
        if (entry == nullptr) {
            break;
        }
        const std::string_view name(entry->d_name);
        if (name != "." && name != "..") {
            names.push_back({std::string(name), kind_of(*entry)});
        }
    }
    if (errno != 0 && !is_gone(errno)) {
        throw_read_error("list", path, errno);
    }
    return names;
}

std::optional<std::string> read_link(const std::string& path) {
    std::array<char, PATH_MAX> target{};
    const ssize_t size = ::readlink(path.c_str(), target.data(), target.size());
    if (size < 0) {
        if (is_gone(errno) || errno == EINVAL) {
            return {};
        }
        throw_read_error("read the symbolic link", path, errno);
    }
    return std::string(target.data(), static_cast<std::size_t>(size));
}

std::optional<std::string> resolve(const std::string& path) {
    const std::unique_ptr<char, decltype(&::free)> resolved(::realpath(path.c_str(), nullptr),
                                                            &::free);
    if (!resolved) {
        if (is_gone(errno) || errno == ELOOP) {
            return {};
        }
        throw_read_error("find", path, errno);
    }
    return std::string(resolved.get());
}

std::int64_t wall_clock_ns() {
    struct timespec now {};
    ::clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * ns_per_second + now.tv_nsec;
}

}  // namespace hot_backup
