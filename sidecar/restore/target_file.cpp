#include "sidecar/restore/target_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <system_error>

namespace hot_backup {
namespace {

namespace fs = std::filesystem;

std::string hint_for(int number, const Path& path) {
    switch (number) {
        case ENOSPC:
            return "Free space on the file system of " + path.string() +
                   ", or choose a target on another one.";
        case EDQUOT:
            return "The disk quota on the file system of " + path.string() +
                   " is used up: free space, raise the quota, or choose another target.";
        case EACCES:
        case EPERM:
            return "Run as root, or as a user who may write there, or choose another target.";
        case EROFS:
            return "The file system is mounted read-only: choose another target, or look in the "
                   "kernel log for the error that made it so.";
        case EEXIST:
        case ENOTEMPTY:
            return "Another process has just made it: make sure that no node is started there, "
                   "then try again.";
        case EMFILE:
        case ENFILE:
            return "Raise the limit of open files.";
        case ENAMETOOLONG:
            return "Choose a target with a shorter path.";
        default:
            return "Check the file system that holds " + path.string() +
                   ", and look in the kernel log.";
    }
}

void check(long result, std::string_view action, const Path& path) {
    if (result < 0) {
        throw target_error(errno, action, path);
    }
}

}  // namespace

Error target_error(int number, std::string_view action, const Path& path) {
    return {ErrorCode::failed,
            "cannot " + std::string(action) + " " + path.string() + ": " +
                std::system_category().message(number),
            hint_for(number, path)};
}

bool is_there(const Path& path) {
    std::error_code error;
    return fs::exists(fs::symlink_status(path, error));
}

void make_directory(const Path& path) {
    check(::mkdir(path.c_str(), 0700), "make the directory", path);
}

void make_link(const Path& path, const std::string& target) {
    check(::symlink(target.c_str(), path.c_str()), "make the symbolic link", path);
}

Descriptor open_target(const Path& path, int flags) {
    Descriptor file(
        retry([&] { return ::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, 0600); }));
    check(file.number(), (flags & O_CREAT) != 0 ? "create" : "open", path);
    return file;
}

void write_at(const Descriptor& file, std::string_view bytes, std::uint64_t offset,
              const Path& path) {
    while (!bytes.empty()) {
        const auto written = retry([&] {
            return ::pwrite(file.number(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
        });
        check(written, "write to", path);
        offset += static_cast<std::uint64_t>(written);
        bytes.remove_prefix(static_cast<std::size_t>(written));
    }
}

std::string read_target(const Path& path) {
    const Descriptor file = open_target(path, O_RDONLY);
    std::string content;
    std::string block(std::size_t{64} << 10, '\0');
    for (;;) {
        const auto got = retry([&] { return ::read(file.number(), block.data(), block.size()); });
        check(got, "read", path);
        if (got == 0) {
            return content;
        }
        content.append(block, 0, static_cast<std::size_t>(got));
    }
}

void sync_target(const Path& path) {
    const Descriptor file = open_target(path, O_RDONLY);
    // Some network file systems cannot sync a directory and do so by themselves: EINVAL.
    if (retry([&] { return ::fsync(file.number()); }) < 0 && errno != EINVAL) {
        throw target_error(errno, "sync", path);
    }
}

void sync_file_system(const Descriptor& file, const Path& path) {
    check(::syncfs(file.number()), "sync the file system of", path);
}

bool sync_file_system_reports_errors(std::string_view kernel_release) {
    unsigned major = 0;
    unsigned minor = 0;
    const char* const end = kernel_release.data() + kernel_release.size();
    const auto dot = std::from_chars(kernel_release.data(), end, major);
    if (dot.ptr != end && *dot.ptr == '.') {
        std::from_chars(dot.ptr + 1, end, minor);
    }
    return major > 5 || (major == 5 && minor >= 8);
}

std::string kernel_release() {
    utsname system{};
    ::uname(&system);
    return system.release;
}

void sync_tree(const Path& path) {
    const fs::file_status status = fs::symlink_status(path);
    if (fs::is_symlink(status)) {
        return;  // it is in its directory
    }
    if (fs::is_directory(status)) {
        for (const auto& entry : fs::directory_iterator(path)) {
            sync_tree(entry.path());
        }
    }
    sync_target(path);
}

void rename_target(const Path& from, const Path& to) {
    // A directory replaces nothing but an empty one, whoever makes it meanwhile; a file would
    // replace a file.
    if (fs::is_directory(fs::symlink_status(from))) {
        check(::rename(from.c_str(), to.c_str()), "rename to", to);
        return;
    }
    if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) {
        return;
    }
    if (errno != EINVAL && errno != ENOSYS) {
        throw target_error(errno, "rename to", to);
    }
    // A file system that does not know it.
    if (is_there(to)) {
        throw target_error(EEXIST, "rename to", to);
    }
    check(::rename(from.c_str(), to.c_str()), "rename to", to);
}

void remove_tree(const Path& path) {
    std::error_code error;
    const fs::file_status status = fs::symlink_status(path, error);
    if (status.type() == fs::file_type::not_found) {
        return;
    }
    if (fs::is_directory(status)) {
        fs::permissions(path, fs::perms::owner_all, fs::perm_options::add, error);
        for (const auto& entry : fs::directory_iterator(path, error)) {
            remove_tree(entry.path());
        }
    }
    fs::remove(path, error);
    if (error) {
        throw target_error(error.value(), "remove", path);
    }
}

}  // namespace hot_backup
