#include "sidecar/restore/target.hpp"

#include "sidecar/restore/running_node.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <system_error>

namespace hot_backup {
namespace {

namespace fs = std::filesystem;

// What RabbitMQ makes in a node's data directory, one or the other in every version.
constexpr std::array marks_of_a_node{"schema.DAT", "msg_stores", "quorum", "coordination"};

Path absolute_name(const Path& path) {
    std::error_code error;
    Path name = fs::absolute(path, error).lexically_normal();
    if (!name.has_filename()) {
        name = name.parent_path();  // it ended in a slash
    }
    if (error || path.empty() || !name.has_filename()) {
        throw Error(ErrorCode::usage, "\"" + path.string() + "\" is no directory to restore to",
                    "Name the data directory of the node, such as "
                    "/var/lib/rabbitmq/mnesia/rabbit@HOST.");
    }
    return name;
}

Path without_links(const Path& name) {
    std::error_code error;
    const Path parent = fs::canonical(name.parent_path(), error);
    if (error || !fs::is_directory(parent, error)) {
        throw Error(ErrorCode::usage,
                    "cannot restore to " + name.string() + ": there is no directory " +
                        name.parent_path().string(),
                    "Create it, with the owner that the node's files shall have.");
    }
    return parent / name.filename();
}

bool is_empty_directory(const Path& path) {
    std::error_code error;
    return fs::is_directory(fs::symlink_status(path, error)) && fs::is_empty(path, error) && !error;
}

bool is_mount_point(const Path& path) {
    struct statx status {};
    return ::statx(AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW, STATX_TYPE, &status) == 0 &&
           (status.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

}  // namespace

Target::Target(const Path& path, const Path& repository)
    : name_(absolute_name(path)), data_directory_(without_links(name_)) {
    throw_if_it_cannot_be_replaced();
    std::error_code error;
    const Path other = fs::weakly_canonical(repository, error);
    if (is_within(data_directory_.native(), other.native()) ||
        is_within(other.native(), data_directory_.native())) {
        throw Error(ErrorCode::usage,
                    "cannot restore to " + name_.string() + ": it and the repository " +
                        repository.string() + " lie within each other",
                    "Choose another target.");
    }
}

void Target::throw_if_it_cannot_be_replaced() const {
    std::error_code error;
    if (fs::is_symlink(fs::symlink_status(data_directory_, error))) {
        throw Error(
            ErrorCode::usage, "cannot restore to " + name_.string() + ": it is a symbolic link",
            "Restore to where it leads: " + fs::weakly_canonical(data_directory_, error).string() +
                ".");
    }
    if (is_mount_point(data_directory_)) {
        throw Error(ErrorCode::usage,
                    "cannot restore to " + name_.string() +
                        ": it is a mount point, and cannot be put in place in one step",
                    "Restore to a directory below it, and let RABBITMQ_MNESIA_DIR lead there.");
    }
}

Path Target::beside(std::string_view suffix) const {
    return data_directory_.string() + std::string(suffix);
}

void Target::throw_if_in_use() const {
    if (const auto process = node_that_uses(data_directory_)) {
        throw Error(
            ErrorCode::failed,
            "a running node uses " + name_.string() + ": process " + std::to_string(*process),
            "Stop that node first (systemctl stop rabbitmq-server), or choose another "
            "target.");
    }
}

std::vector<Path> Target::occupied() const {
    std::vector<Path> found;
    if (is_there(data_directory_) && !is_empty_directory(data_directory_)) {
        found.push_back(data_directory_);
    }
    for (const auto suffix : {feature_flags_suffix, configuration_suffix}) {
        if (is_there(beside(suffix)) && !is_empty_directory(beside(suffix))) {
            found.push_back(beside(suffix));
        }
    }
    return found;
}

void Target::throw_if_occupied() const {
    const auto found = occupied();
    if (!found.empty()) {
        throw Error(ErrorCode::usage,
                    found.front().string() +
                        (found.front() == data_directory_ ? " is not empty" : " is there already"),
                    "Choose another target, or add --force: what is there is then moved aside, "
                    "not deleted.");
    }
}

void Target::throw_unless_replaceable() const {
    const auto has = [&](const char* name) { return is_there(data_directory_ / name); };
    if (is_there(data_directory_) && !is_empty_directory(data_directory_) &&
        std::ranges::none_of(marks_of_a_node, has)) {
        throw Error(ErrorCode::usage,
                    name_.string() + " is not empty, and not the data directory of a node",
                    "Name the data directory itself, such as "
                    "/var/lib/rabbitmq/mnesia/rabbit@HOST; or move that away.");
    }
}

void Target::throw_unless_fits(std::uint64_t bytes) const {
    const auto available = posix_file_system().space(parent()).available;
    if (available < bytes) {
        throw Error(ErrorCode::failed,
                    "there is not enough space to restore to " + name_.string() + ": " +
                        megabytes(available) + " are free, " + megabytes(bytes) + " are needed",
                    "Free space on this file system, or choose a target on another one.");
    }
}

Renames::~Renames() {
    for (auto step = done_.rbegin(); step != done_.rend(); ++step) {
        std::error_code ignored;
        fs::rename(step->second, step->first, ignored);
    }
}

void Renames::rename(const Path& from, const Path& to) {
    done_.reserve(done_.size() + 1);
    rename_target(from, to);
    done_.emplace_back(from, to);
}

}  // namespace hot_backup
