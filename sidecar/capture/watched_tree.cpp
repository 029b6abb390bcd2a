#include "sidecar/capture/watched_tree.hpp"

#include <algorithm>
#include <cerrno>

namespace hot_backup {
namespace {

// For people, who shall see which bytes a name has that no text has.
std::string printable(std::string_view name) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    for (const char character : name) {
        const auto byte = static_cast<unsigned char>(character);
        if (byte >= 0x20 && byte < 0x7f) {
            text += character;
        } else {
            text += {'\\', 'x', digits[byte >> 4], digits[byte & 15U]};
        }
    }
    return text;
}

std::string image_path(const Directory& directory, std::string_view name) {
    const std::string path = WatchedTree::image_path_of(directory).append("/").append(name);
    if (!is_path_in_backup(path)) {
        throw Error(ErrorCode::failed,
                    "cannot back up " + printable(directory.path + "/" + std::string(name)) +
                        ": its name is not UTF-8",
                    "RabbitMQ makes no such file: move it out of the node's directories.");
    }
    return path;
}

}  // namespace

WatchedTree::WatchedTree(const std::vector<CaptureRoot>& roots, const CopyOptions& options)
    : inotify_(options.use_inotify),
      watch_limit_(options.watch_limit),
      look_up_(options.look_up),
      look_up_interval_(options.look_up_interval) {
    for (const CaptureRoot& root : roots) {
        if (auto resolved = resolve(root.path.string())) {
            roots_named_.push_back({root.name, root.path.string(), std::move(*resolved)});
        }
    }
    drop_inner_roots();
    const Walk walk(*this);
    for (const Root& root : roots_named_) {
        auto directory = make_directory(root, nullptr, root.resolved);
        if (!open_directory(*directory)) {
            throw_read_error("list", root.path, ENOTDIR);
        }
        roots_.push_back(std::move(directory));
    }
}

WatchedTree::~WatchedTree() = default;

void WatchedTree::drop_inner_roots() {
    std::vector<Root> outer;
    for (const Root& root : roots_named_) {
        const bool inner =
            std::any_of(roots_named_.begin(), roots_named_.end(), [&](const Root& other) {
                return &other != &root && is_within(root.resolved, other.resolved) &&
                       (root.resolved != other.resolved || &other < &root);
            });
        if (!inner) {
            outer.push_back(root);
        }
    }
    roots_named_ = std::move(outer);
}

// Names.

std::string WatchedTree::child_path(const Directory& directory, std::string_view name) {
    return std::string(directory.path).append("/").append(name);
}

std::string WatchedTree::path_of(const NodeFile& file) {
    return child_path(*file.directory, file.name);
}

std::string WatchedTree::image_path_of(const Directory& directory) {
    return directory.root->name + directory.path.substr(directory.root->resolved.size());
}

std::string WatchedTree::origin_of(const Directory& directory) {
    return directory.root->path + directory.path.substr(directory.root->resolved.size());
}

CopyTask WatchedTree::task_for(const NodeFile& file) {
    CopyTask task{path_of(file), file.rule, false, file.copy};
    if (file.rule == CopyRule::message_store) {
        task.highest = message_store_number(file.name) == *file.directory->store_numbers.rbegin();
    }
    return task;
}

std::optional<std::string> WatchedTree::combine_in_flight() const {
    for (const NodeFile* file : combining_) {
        // That it is gone may be among the reports that were lost.
        if (std::string path = path_of(*file); status_of(path)) {
            return path;
        }
    }
    return {};
}

// What the kernel reports.

void WatchedTree::drain() {
    if (walking_) {
        inotify_.keep();
        return;
    }
    lose_events_on_failure(
        [this] { inotify_.drain([this](const inotify_event& event) { handle(event); }); });
}

void WatchedTree::handle(const inotify_event& event) {
    if ((event.mask & IN_Q_OVERFLOW) != 0) {
        events_lost_ = true;
        return;
    }
    const auto found = watches_.find(event.wd);
    if (found == watches_.end()) {
        return;  // It is from before the directory was let go.
    }
    Directory& directory = *found->second;
    if ((event.mask & (IN_DELETE_SELF | IN_MOVE_SELF)) != 0) {
        throw_root_lost(directory);
    }
    if ((event.mask & IN_IGNORED) != 0) {
        // The kernel has dropped the watch, because the directory is gone, or its file system. If
        // nothing else says so, the comparison of unwatched directories does.
        set_watch(directory, Inotify::none);
        return;
    }
    touched_.insert(&directory);
    if (event.len > 0) {
        handle_name(directory, event.name, event.mask);
    }
}

void WatchedTree::handle_name(Directory& directory, std::string_view name, std::uint32_t mask) {
    if ((mask & (IN_MODIFY | IN_ATTRIB)) != 0) {
        if (const auto file = directory.files.find(name); file != directory.files.end()) {
            mark(file->second);
            return;
        }
        if (const auto child = directory.directories.find(name);
            child != directory.directories.end()) {
            touched_.insert(child->second.get());
            return;
        }
    }
    // That a name was deleted or moved away does not say that it is free: when two names are
    // exchanged, it is reported after what came in its place. Whatever has it now is another file,
    // even where an inode number that is given again makes it look like the one before.
    const std::string kept(name);
    forget(directory, kept);
    look(directory, kept, {});
}

void WatchedTree::throw_root_lost(const Directory& root) {
    throw Error(ErrorCode::failed,
                "the directory " + root.path + " was removed or replaced while it was copied",
                "Make the backup again when the node has its directories.");
}

// What is there.

void WatchedTree::look(Directory& directory, const std::string& name,
                       std::optional<NodeFileKind> kind) {
    if (!kind) {
        const auto status = status_of(child_path(directory, name));
        if (!status) {
            forget(directory, name);
            return;
        }
        kind = status->kind;
    }
    if (kind != NodeFileKind::file) {
        forget(directory, name);
    }
    switch (*kind) {
        case NodeFileKind::file:
            forget_all_but_file(directory, name);
            add_file(directory, name);
            break;
        case NodeFileKind::directory:
            add_directory(directory, name);
            break;
        case NodeFileKind::symlink:
            add_link(directory, name);
            break;
        case NodeFileKind::other:
            throw Error(ErrorCode::failed,
                        "cannot back up " + printable(child_path(directory, name)) +
                            ": it is neither a file nor a directory nor a symbolic link",
                        "RabbitMQ makes no such file: move it out of the node's directories.");
    }
}

std::unique_ptr<Directory> WatchedTree::make_directory(const Root& root, Directory* parent,
                                                       std::string path) {
    auto directory = std::make_unique<Directory>();
    directory->root = &root;
    directory->parent = parent;
    directory->path = std::move(path);
    ++directories_;
    return directory;
}

bool WatchedTree::open_directory(Directory& directory) {
    set_watch(directory, watch(directory));
    const auto status = status_of(directory.path);
    auto names = list_directory(directory.path);
    if (!status || !names) {
        return false;
    }
    directory.status = *status;
    for (const ListedName& listed : *names) {
        step();
        look(directory, listed.name, listed.kind);
    }
    return true;
}

void WatchedTree::add_directory(Directory& parent, const std::string& name) {
    image_path(parent, name);
    Directory& directory =
        *parent.directories
             .emplace(name, make_directory(*parent.root, &parent, child_path(parent, name)))
             .first->second;
    if (!open_directory(directory)) {
        forget(parent, name);
    }
}

void WatchedTree::add_file(Directory& directory, const std::string& name) {
    const auto known = directory.files.find(name);
    if (known != directory.files.end()) {
        mark(known->second);
        return;
    }
    const CopyRule rule = rule_for(image_path(directory, name));
    if (rule == CopyRule::left_out) {
        return;
    }
    const auto file = std::make_shared<NodeFile>();
    file->directory = &directory;
    file->name = name;
    file->rule = rule;
    directory.files.emplace(file->name, file);
    if (rule == CopyRule::message_store) {
        directory.store_numbers.insert(*message_store_number(name));
    }
    if (rule == CopyRule::combine_in_flight) {
        combining_.insert(file.get());
    }
    mark(file);
}

void WatchedTree::add_link(Directory& directory, const std::string& name) {
    image_path(directory, name);
    const std::string path = child_path(directory, name);
    const auto status = status_of(path);
    auto target = read_link(path);
    if (!status || !target) {
        return;  // It is gone again, and that will be reported.
    }
    const auto resolved = resolve(path);
    if (resolved && std::none_of(roots_named_.begin(), roots_named_.end(), [&](const Root& root) {
            return is_within(*resolved, root.resolved);
        })) {
        throw Error(ErrorCode::failed,
                    "the symbolic link " + printable(path) + " leads to " + printable(*resolved) +
                        ", which is outside of the node's directories",
                    "A backup would lack what is there: move it below the data directory, or "
                    "configure that place as a directory of the node.");
    }
    directory.links.emplace(name, SymbolicLink{*status, std::move(*target)});
}

// What is not there any more.

void WatchedTree::forget(Directory& directory, std::string_view name) {
    if (const auto file = directory.files.find(name); file != directory.files.end()) {
        if (file->second->rule == CopyRule::message_store) {
            directory.store_numbers.erase(*message_store_number(name));
        }
        let_go(*file->second);
        directory.files.erase(file);
    }
    forget_all_but_file(directory, name);
}

void WatchedTree::forget_all_but_file(Directory& directory, std::string_view name) {
    if (const auto child = directory.directories.find(name); child != directory.directories.end()) {
        let_go(*child->second);
        directory.directories.erase(child);
    }
    if (const auto link = directory.links.find(name); link != directory.links.end()) {
        directory.links.erase(link);
    }
}

void WatchedTree::forget(const NodeFilePtr& file) {
    if (file->directory != nullptr) {
        forget(*file->directory, std::string(file->name));
    }
}

void WatchedTree::let_go(NodeFile& file) noexcept {
    combining_.erase(&file);
    file.directory = nullptr;
    dirty_.lost(file);
}

void WatchedTree::let_go(Directory& directory) noexcept {
    for (const auto& [name, file] : directory.files) {
        let_go(*file);
    }
    for (const auto& [name, child] : directory.directories) {
        let_go(*child);
    }
    if (directory.watch != Inotify::none) {
        inotify_.unwatch(directory.watch);
        set_watch(directory, Inotify::none);
    }
    touched_.erase(&directory);
    --directories_;
}

// Watches.

int WatchedTree::watch(const Directory& directory) {
    if (directory.watch == Inotify::none && watches_.size() >= watch_limit_) {
        return Inotify::none;
    }
    // Nobody above a root reports that it goes.
    return inotify_.watch(directory.path,
                          directory.parent == nullptr ? IN_DELETE_SELF | IN_MOVE_SELF : 0U);
}

void WatchedTree::set_watch(Directory& directory, int watch) {
    if (directory.watch == watch) {
        return;
    }
    if (directory.watch != Inotify::none) {
        watches_.erase(directory.watch);
    }
    directory.watch = watch;
    if (watch == Inotify::none) {
        return;
    }
    Directory*& holder = watches_[watch];
    if (holder != nullptr) {
        // The directory was moved here from a place that it is still known by: that place is
        // compared from now on, until it is reported to be gone.
        holder->watch = Inotify::none;
    }
    holder = &directory;
}

// Marks.

void WatchedTree::mark(const NodeFilePtr& file) {
    if (file->rule != CopyRule::combine_in_flight) {
        dirty_.mark(file);
    }
}

}  // namespace hot_backup
