// How a WatchedTree looks again: at everything when reports were lost, at what nobody reports
// (directories without a watch, files of several names), and at the status of directories.
#include "sidecar/capture/watched_tree.hpp"

#include <algorithm>

namespace hot_backup {
namespace {

// The kernel keeps 16,384 reports.
constexpr std::chrono::milliseconds keep_interval{20};

// Time stamps of files advance in steps of up to some milliseconds, and a step of a file system
// elsewhere may be longer. What was modified so shortly before it was read may have been modified
// once more with the same time stamp.
constexpr std::int64_t racy_ns = 250'000'000;

bool is_changed(const NodeFile& file, const NodeFileStatus& now) {
    if (!file.copy) {
        return true;
    }
    const NodeFileStatus& copied = file.copy->status;
    return !copied.same_state(now) ||
           std::max(copied.mtime_ns, copied.ctime_ns) > file.copy->read_at_ns - racy_ns;
}

}  // namespace

void WatchedTree::step() {
    if (!walking_) {
        return;
    }
    const auto now = LiveCopy::Clock::now();
    if (now >= next_keep_) {
        inotify_.keep();
        next_keep_ = now + std::min(keep_interval, look_up_interval_);
    }
    if (look_up_ && now >= next_look_up_) {
        look_up_();
        next_look_up_ = LiveCopy::Clock::now() + look_up_interval_;
    }
}

bool WatchedTree::is_same(const Directory& directory) {
    const auto status = status_of(directory.path);
    return status && status->kind == NodeFileKind::directory && status->same_file(directory.status);
}

void WatchedTree::rescan() {
    const Walk walk(*this);
    events_lost_ = false;
    lose_events_on_failure([this] {
        for (const auto& root : roots_) {
            if (!rescan(*root)) {
                throw_root_lost(*root);
            }
        }
    });
}

// False when another directory is there now, or none.
bool WatchedTree::rescan(Directory& directory) {
    const int now = watch(directory);
    if (directory.watch == Inotify::none) {
        set_watch(directory, now);
    }
    if (now != directory.watch || !is_same(directory)) {
        return false;
    }
    reconcile(directory, true);
    return true;
}

void WatchedTree::reconcile(Directory& directory, bool mark_all) {
    const auto status = status_of(directory.path);
    const auto names = list_directory(directory.path);
    if (!status || !names) {
        if (directory.parent == nullptr) {
            throw_root_lost(directory);
        }
        return;  // Its parent says the rest.
    }
    directory.status = *status;
    forget_unlisted(directory, *names);
    for (const ListedName& listed : *names) {
        step();
        reconcile_name(directory, listed.name, mark_all);
    }
}

void WatchedTree::forget_unlisted(Directory& directory, const std::vector<ListedName>& names) {
    std::unordered_set<std::string_view> listed;
    for (const ListedName& name : names) {
        listed.insert(name.name);
    }
    std::vector<std::string> missing;
    const auto collect = [&](const auto& known) {
        for (const auto& [name, value] : known) {
            if (!listed.contains(name)) {
                missing.emplace_back(name);
            }
        }
    };
    collect(directory.files);
    collect(directory.directories);
    collect(directory.links);
    for (const std::string& name : missing) {
        forget(directory, name);
    }
}

void WatchedTree::reconcile_name(Directory& directory, const std::string& name, bool mark_all) {
    const auto status = status_of(child_path(directory, name));
    const auto file = directory.files.find(name);
    if (status && status->kind == NodeFileKind::file && file != directory.files.end()) {
        if (mark_all || is_changed(*file->second, *status)) {
            mark(file->second);
        }
        return;
    }
    const auto child = directory.directories.find(name);
    if (status && status->kind == NodeFileKind::directory && child != directory.directories.end()) {
        if (mark_all ? rescan(*child->second) : is_same(*child->second)) {
            return;
        }
    }
    look(directory, name, {});
}

bool WatchedTree::compare_unreported(LiveCopy::Clock::time_point deadline) {
    return lose_events_on_failure([&] {
        return std::all_of(roots_.begin(), roots_.end(), [&](const auto& root) {
            return (unwatched_directories() == 0 || compare_below(*root, deadline)) &&
                   (several_names_.empty() || compare_named(*root, deadline));
        });
    });
}

bool WatchedTree::note_names(const NodeFileStatus& status) {
    return !several_names_.emplace(status.device, status.inode).second;
}

bool WatchedTree::compare_below(Directory& directory, LiveCopy::Clock::time_point deadline) {
    if (LiveCopy::Clock::now() > deadline) {
        return false;
    }
    if (directory.watch == Inotify::none) {
        reconcile(directory, false);
    }
    std::vector<std::string> replaced;
    for (const auto& [name, child] : directory.directories) {
        step();
        if (child->watch == Inotify::none && !is_same(*child)) {
            replaced.push_back(name);
        }
    }
    for (const std::string& name : replaced) {
        look(directory, name, {});
    }
    return std::all_of(directory.directories.begin(), directory.directories.end(),
                       [&](const auto& child) { return compare_below(*child.second, deadline); });
}

bool WatchedTree::compare_named(const Directory& directory, LiveCopy::Clock::time_point deadline) {
    if (LiveCopy::Clock::now() > deadline) {
        return false;
    }
    for (const auto& [name, file] : directory.files) {
        step();
        if (!file->copy || file->mark != 0) {
            continue;
        }
        const NodeFileStatus& copied = file->copy->status;
        if (several_names_.contains({copied.device, copied.inode})) {
            const auto now = status_of(path_of(*file));
            if (!now || is_changed(*file, *now)) {
                mark(file);
            }
        }
    }
    return std::all_of(directory.directories.begin(), directory.directories.end(),
                       [&](const auto& child) { return compare_named(*child.second, deadline); });
}

void WatchedTree::refresh_directories() {
    for (Directory* directory : touched_) {
        step();
        // Another directory that has just taken the path is not this one: that is still to be
        // reported.
        const auto status = status_of(directory->path);
        if (status && status->same_file(directory->status)) {
            directory->status = *status;
        }
    }
    touched_.clear();
}

}  // namespace hot_backup
