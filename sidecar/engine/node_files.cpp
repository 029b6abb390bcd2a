#include "sidecar/engine/node_files.hpp"

#include "sidecar/repository/process_identity.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace hot_backup {
namespace {

// Beyond disk_free_limit: what the node itself may write before the guard looks again.
constexpr std::uint64_t leeway = std::uint64_t{256} << 20;

// Of a path that may not exist as a whole yet.
std::filesystem::path resolved(const std::filesystem::path& path) {
    std::error_code error;
    const auto canonical = std::filesystem::weakly_canonical(path, error);
    return error ? path.lexically_normal() : canonical;
}

// A directory with the right path may be that of another node: one on this machine, when the node
// runs on another one, or one of this container, when it runs in another one.
void throw_unless_here(const NodeDescription& description) {
    struct stat status {};
    const bool seen = ::stat(description.data_dir.c_str(), &status) == 0;
    if (seen && status.st_ino == description.data_dir_inode &&
        this_process().boot_id == description.boot_id) {
        return;
    }
    throw Error(ErrorCode::failed,
                "the directory of the node, " + description.data_dir + ", is not to be seen here" +
                    (seen ? ": there is another one of that name"
                          : ": " + std::system_category().message(errno)),
                "Run this on the machine of the node, in its container, as its user or as root; or "
                "let the plugin make the backup.");
}

void throw_if_within(const Path& repository, const std::vector<CaptureRoot>& roots) {
    for (const auto& root : roots) {
        if (is_within(resolved(repository).native(), root.path.native())) {
            throw Error(ErrorCode::failed,
                        "the repository " + repository.string() +
                            " lies within the directory of the node, " + root.path.string(),
                        "Choose a repository elsewhere, at best on another disk.");
        }
    }
}

bool is_on(const Path& directory, std::uint64_t device) {
    struct stat status {};
    return ::stat(directory.c_str(), &status) == 0 && status.st_dev == device;
}

}  // namespace

std::vector<CaptureRoot> roots_of(const NodeDescription& description, const Path& repository) {
    throw_unless_here(description);
    std::vector<CaptureRoot> roots{{"data", resolved(description.data_dir)}};
    for (const auto& directory : description.directories) {
        const auto path = resolved(directory.path);
        if (!is_within(path.native(), roots.front().path.native())) {
            roots.push_back({directory.role, path});
        }
    }
    throw_if_within(repository, roots);
    return roots;
}

std::vector<CaptureRoot> single_files_of(const NodeDescription& description) {
    const auto data_dir = resolved(description.data_dir);
    std::vector<CaptureRoot> files;
    for (const auto& file : description.files) {
        const auto path = resolved(file.path);
        if (!is_within(path.native(), data_dir.native())) {
            files.push_back({file.role, path});
        }
    }
    return files;
}

SpaceGuard::SpaceGuard(FileSystem& file_system, const Path& repository,
                       const std::vector<CaptureRoot>& roots, std::uint64_t disk_free_limit)
    : file_system_(file_system), repository_(repository) {
    const auto device = file_system.space(repository).device;
    if (std::ranges::any_of(roots, [&](const auto& root) { return is_on(root.path, device); })) {
        reserve_ = disk_free_limit + leeway;
    }
}

void SpaceGuard::check(std::uint64_t bytes) const {
    const auto available = file_system_.space(repository_).available;
    if (available >= bytes && available - bytes >= reserve_) {
        return;
    }
    throw Error(ErrorCode::failed,
                "there is not enough space for the backup in " + repository_.string() + ": " +
                    megabytes(available) + " are free, " +
                    (bytes > 0 ? megabytes(bytes) + " are needed" : "and more are needed") +
                    (reserve_ > 0 ? ", and " + megabytes(reserve_) +
                                        " have to stay free for the node, which uses the same disk"
                                  : ""),
                "Delete backups that are not needed any more, or choose a repository on another "
                "disk.");
}

}  // namespace hot_backup
