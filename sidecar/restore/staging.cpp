#include "sidecar/restore/staging.hpp"

#include "sidecar/repository/timestamp.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace hot_backup {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view marker_name = "restore";
constexpr std::string_view publishing_name = "publishing";
constexpr std::string_view marker_content =
    "Made by rabbitmq-hot-backup restore, which was cut off if none runs. The next one removes "
    "this directory.\n";

// "20261122T073241Z": a part of a name.
std::string compact(Timestamp time) {
    std::string text = to_text(time).substr(0, 19);
    std::erase_if(text, [](char c) { return c == '-' || c == ':'; });
    return text + "Z";
}

// A name that nothing has, such as "rabbit@a.before-restore-20261122T073241Z".
Path aside(const Path& path, const std::string& time) {
    const Path first = path.string() + ".before-restore-" + time;
    Path name = first;
    for (int number = 2; is_there(name); ++number) {
        name = first.string() + "." + std::to_string(number);
    }
    return name;
}

}  // namespace

Staging::Staging(const Target& target) : target_(target), directory_(target.beside(".restoring~")) {
    std::error_code error;
    const bool leftover = is_there(directory_);
    if (leftover && !is_there(directory_ / marker_name) &&
        (!fs::is_directory(fs::symlink_status(directory_)) || !fs::is_empty(directory_, error))) {
        throw Error(ErrorCode::failed,
                    directory_.string() + " is in the way, and no restore made it",
                    "Move it away: a restore is made under this name first.");
    }
    if (!leftover) {
        make_directory(directory_);
    }
    if (!try_lock()) {
        throw Error(ErrorCode::failed,
                    "another restore to " + target.name().string() + " is at work",
                    "Wait until it is done, or choose another target.");
    }
    try {
        if (leftover) {
            remove_half_published();
        }
        clear();
        write_at(marker_, marker_content, 0, directory_ / marker_name);
        make_directory(data());
    } catch (...) {
        remove_tree(directory_);
        throw;
    }
}

Staging::~Staging() {
    try {
        clear();
        fs::remove(directory_ / marker_name);
        fs::remove(directory_);
    } catch (const std::exception&) {
        // The next restore removes it.
    }
}

bool Staging::try_lock() {
    marker_ = open_target(directory_ / marker_name, O_RDWR | O_CREAT);
    struct stat locked {};
    struct stat found {};
    // One that is no longer there was removed by a restore that ended just now.
    return ::flock(marker_.number(), LOCK_EX | LOCK_NB) == 0 &&
           ::fstat(marker_.number(), &locked) == 0 &&
           ::stat((directory_ / marker_name).c_str(), &found) == 0 && locked.st_ino == found.st_ino;
}

void Staging::clear() {
    for (const auto& entry : fs::directory_iterator(directory_)) {
        if (entry.path().filename() != marker_name) {
            remove_tree(entry.path());
        }
    }
}

// The one before ended between its renames: what it had named already is not what somebody else
// put there, unless a node has begun to work with it.
void Staging::remove_half_published() const {
    const auto occupied = target_.occupied();
    if (!is_there(directory_ / publishing_name) || !is_there(data()) ||
        std::ranges::find(occupied, target_.data_directory()) != occupied.end()) {
        return;
    }
    for (const auto& [part, suffix] : {std::pair{feature_flags(), feature_flags_suffix},
                                       std::pair{configuration(), configuration_suffix}}) {
        if (!is_there(part)) {
            remove_tree(target_.beside(suffix));
        }
    }
}

void Staging::sync() const {
    // By a file that is open since the beginning: so no error of a write in between is missed.
    sync_file_system(marker_, directory_);
    if (!sync_file_system_reports_errors(kernel_release())) {
        sync_tree(directory_);
    }
}

std::vector<Path> Staging::publish(bool durable) {
    const auto synced = [&](const Path& directory) {
        if (durable) {
            sync_target(directory);
        }
    };
    Renames renames;
    std::vector<Path> moved;
    const std::string time = compact(now());
    for (const Path& path : target_.occupied()) {
        moved.push_back(aside(path, time));
        renames.rename(path, moved.back());
    }
    synced(target_.parent());
    // From here on nobody else's files are beside the target.
    open_target(directory_ / publishing_name, O_WRONLY | O_CREAT);
    synced(directory_);
    if (is_there(feature_flags())) {
        renames.rename(feature_flags(), target_.beside(feature_flags_suffix));
    }
    if (is_there(configuration())) {
        renames.rename(configuration(), target_.beside(configuration_suffix));
    }
    synced(target_.parent());
    renames.rename(data(), target_.data_directory());
    synced(target_.parent());
    renames.keep();
    return moved;
}

}  // namespace hot_backup
