#include "sidecar/sandbox/scratch_directory.hpp"

#include "sidecar/restore/target_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string>
#include <system_error>

namespace hot_backup {
namespace {

constexpr std::string_view prefix = "rabbitmq-hot-backup-boot-";
constexpr const char* hint =
    "Name a directory on a disk with enough space with --scratch, or set TMPDIR.";

// The lock of a directory that nobody uses and that is still called `path`; else none. Who removes
// a directory has its lock, so no two processes ever think that it is theirs.
Descriptor try_lock(const Path& path) {
    Descriptor directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!directory || ::flock(directory.number(), LOCK_EX | LOCK_NB) != 0) {
        return {};
    }
    struct stat locked {};
    struct stat named {};
    const bool same = ::fstat(directory.number(), &locked) == 0 &&
                      ::lstat(path.c_str(), &named) == 0 && locked.st_ino == named.st_ino &&
                      locked.st_dev == named.st_dev;
    return same && locked.st_uid == ::geteuid() ? std::move(directory) : Descriptor();
}

void try_to_remove(const Path& path) noexcept {
    try {
        remove_tree(path);
    } catch (const std::exception&) {
        // Whoever makes the next one tries again.
    }
}

void remove_leftovers(const Path& parent) {
    std::error_code error;
    for (std::filesystem::directory_iterator entry(parent, error), end; !error && entry != end;
         entry.increment(error)) {
        if (entry->path().filename().string().starts_with(prefix)) {
            if (const auto lock = try_lock(entry->path())) {
                try_to_remove(entry->path());
            }
        }
    }
}

void throw_unless_enough(const Path& parent, std::uint64_t needed) {
    const auto available = posix_file_system().space(parent).available;
    if (available < needed) {
        throw Error(ErrorCode::failed,
                    "there is not enough space in " + parent.string() + ": " +
                        megabytes(available) + " are free, " + megabytes(needed) + " are needed",
                    hint);
    }
}

}  // namespace

Path default_scratch_parent() {
    const char* chosen = std::getenv("TMPDIR");
    return chosen != nullptr && *chosen != '\0' ? chosen : "/var/tmp";
}

ScratchDirectory::ScratchDirectory(const Path& parent, std::uint64_t needed) {
    std::error_code error;
    const auto directory = std::filesystem::canonical(parent, error);
    if (error) {
        throw Error(ErrorCode::failed,
                    "cannot use the directory " + parent.string() + ": " + error.message(), hint);
    }
    remove_leftovers(directory);
    throw_unless_enough(directory, needed);
    // Another process may take a new directory for a leftover before it is locked.
    for (int attempt = 0; attempt < 100 && !lock_; ++attempt) {
        std::string name = (directory / std::string(prefix)).string() + "XXXXXX";
        if (::mkdtemp(name.data()) == nullptr) {
            throw SystemError(errno, "make a directory in", directory);
        }
        path_ = name;
        lock_ = try_lock(path_);
    }
    if (!lock_) {
        throw Error(ErrorCode::failed, "cannot lock a directory in " + directory.string(), hint);
    }
}

ScratchDirectory::~ScratchDirectory() {
    try_to_remove(path_);
}

Path ScratchDirectory::leave(std::string_view text) const {
    Path file = path_;
    file += ".log";
    posix_file_system().create(file)->append(text);
    return file;
}

}  // namespace hot_backup
