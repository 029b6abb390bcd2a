#include "tests/repository/memory_file_system.hpp"

#include <algorithm>
#include <cerrno>
#include <set>

namespace repository_test {

using hot_backup::SystemError;

struct MemoryFileSystem::Node {
    FileStatus::Type type = FileStatus::Type::file;
    std::uint64_t inode = 0;
    bool locked = false;
    std::string content;
    std::string durable_content;
    std::map<std::string, NodePointer> entries;
    std::map<std::string, NodePointer> durable_entries;

    FileStatus status() const { return {type, content.size(), {1, inode}}; }
};

namespace {

class MemoryFile final : public OpenFile {
public:
    explicit MemoryFile(std::shared_ptr<MemoryFileSystem::Node> node) : node_(std::move(node)) {}
    ~MemoryFile() override {
        if (has_lock_) {
            node_->locked = false;
        }
    }

    void append(std::string_view bytes) override { node_->content += bytes; }
    std::size_t read_at(std::uint64_t offset, std::span<char> buffer) override {
        const std::string& content = node_->content;
        if (offset >= content.size()) {
            return 0;
        }
        return content.copy(buffer.data(), buffer.size(), offset);
    }
    FileStatus status() override { return node_->status(); }
    void clear() override { node_->content.clear(); }
    void sync() override { node_->durable_content = node_->content; }
    void write_behind(std::uint64_t) override {}
    void read_from_disk() noexcept override {}
    bool try_lock() override {
        if (node_->locked && !has_lock_) {
            return false;
        }
        node_->locked = has_lock_ = true;
        return true;
    }

private:
    std::shared_ptr<MemoryFileSystem::Node> node_;
    bool has_lock_ = false;
};

}  // namespace

MemoryFileSystem::MemoryFileSystem() : root_(make_node(FileStatus::Type::directory)) {}

MemoryFileSystem::NodePointer MemoryFileSystem::make_node(FileStatus::Type type) {
    auto node = std::make_shared<Node>();
    node->type = type;
    node->inode = ++last_inode_;
    return node;
}

MemoryFileSystem::NodePointer MemoryFileSystem::find(const Path& path) const {
    NodePointer node = root_;
    for (const Path& part : path.relative_path()) {
        const auto entry = node->entries.find(part.string());
        if (entry == node->entries.end()) {
            return nullptr;
        }
        node = entry->second;
    }
    return node;
}

MemoryFileSystem::Node& MemoryFileSystem::directory(const Path& path,
                                                    std::string_view action) const {
    const NodePointer node = find(path);
    if (!node) {
        throw SystemError(ENOENT, action, path);
    }
    if (node->type != FileStatus::Type::directory) {
        throw SystemError(ENOTDIR, action, path);
    }
    return *node;
}

std::unique_ptr<OpenFile> MemoryFileSystem::create(const Path& path) {
    Node& parent = directory(path.parent_path(), "create");
    NodePointer node = make_node(FileStatus::Type::file);
    if (!parent.entries.emplace(path.filename().string(), node).second) {
        throw SystemError(EEXIST, "create", path);
    }
    return std::make_unique<MemoryFile>(node);
}

std::unique_ptr<OpenFile> MemoryFileSystem::open(const Path& path) {
    NodePointer node = find(path);
    if (!node) {
        throw SystemError(ENOENT, "open", path);
    }
    return std::make_unique<MemoryFile>(node);
}

std::unique_ptr<OpenFile> MemoryFileSystem::open_or_create(const Path& path) {
    return find(path) ? open(path) : create(path);
}

std::unique_ptr<OpenFile> MemoryFileSystem::open_for_lock(const Path& path) {
    return open(path);
}

hot_backup::Space MemoryFileSystem::space(const Path&) {
    return {std::uint64_t{1} << 50, 0};
}

std::optional<FileStatus> MemoryFileSystem::status(const Path& path) {
    const NodePointer node = find(path);
    return node ? std::optional(node->status()) : std::nullopt;
}

std::vector<std::string> MemoryFileSystem::list(const Path& path) {
    std::vector<std::string> names;
    for (const auto& [name, node] : directory(path, "list").entries) {
        names.push_back(name);
    }
    return names;
}

void MemoryFileSystem::make_directory(const Path& path) {
    if (!find(path.parent_path())) {
        throw SystemError(ENOENT, "make the directory", path);
    }
    if (!find(path)) {
        directory(path.parent_path(), "make the directory")
            .entries.emplace(path.filename().string(), make_node(FileStatus::Type::directory));
    }
}

void MemoryFileSystem::rename(const Path& from, const Path& to) {
    Node& source = directory(from.parent_path(), "rename to");
    Node& target = directory(to.parent_path(), "rename to");
    auto moved = source.entries.extract(from.filename().string());
    if (moved.empty()) {
        throw SystemError(ENOENT, "rename to", to);
    }
    target.entries[to.filename().string()] = moved.mapped();
}

void MemoryFileSystem::remove(const Path& path) {
    directory(path.parent_path(), "remove").entries.erase(path.filename().string());
}

void MemoryFileSystem::inherit_owner(const Path&) {}

void MemoryFileSystem::sync_directory(const Path& path) {
    Node& node = directory(path, "sync");
    node.durable_entries = node.entries;
}

void MemoryFileSystem::sync_parent(const Path& path) {
    sync_directory(path.parent_path());
}

void MemoryFileSystem::cut_power() {
    root_ = after_cut(
        *root_, [] { return false; }, [](std::size_t) { return std::size_t{0}; });
}

void MemoryFileSystem::cut_power(std::mt19937& random) {
    root_ = after_cut(
        *root_, [&] { return std::bernoulli_distribution()(random); },
        [&](std::size_t most) {
            return std::uniform_int_distribution<std::size_t>(0, most)(random);
        });
}

MemoryFileSystem::NodePointer MemoryFileSystem::after_cut(
    const Node& node, const std::function<bool()>& survives,
    const std::function<std::size_t(std::size_t)>& up_to) {
    NodePointer left = make_node(node.type);
    left->content = node.durable_content;
    if (node.content != node.durable_content && survives()) {
        // The length may have survived where the bytes have not.
        left->content = node.content;
        const std::size_t whole = up_to(node.content.size());
        left->content.replace(whole, std::string::npos, node.content.size() - whole, '\0');
        if (survives()) {
            left->content.resize(whole);
        }
    }
    std::set<std::string> names;
    for (const auto* entries : {&node.entries, &node.durable_entries}) {
        for (const auto& [name, child] : *entries) {
            names.insert(name);
        }
    }
    for (const std::string& name : names) {
        const auto lookup = [&](const std::map<std::string, NodePointer>& entries) {
            const auto found = entries.find(name);
            return found == entries.end() ? nullptr : found->second;
        };
        const NodePointer now = lookup(node.entries);
        const NodePointer durable = lookup(node.durable_entries);
        const NodePointer chosen = now != durable && survives() ? now : durable;
        if (chosen) {
            left->entries.emplace(name, after_cut(*chosen, survives, up_to));
        }
    }
    left->durable_content = left->content;
    left->durable_entries = left->entries;
    return left;
}

std::string& MemoryFileSystem::content(const Path& path) {
    const NodePointer node = find(path);
    if (!node) {
        throw SystemError(ENOENT, "change", path);
    }
    return node->content;
}

void MemoryFileSystem::put(const Path& path, std::string content) {
    remove(path);
    const auto file = create(path);
    file->append(content);
    file->sync();
    sync_directory(path.parent_path());
}

std::vector<Path> MemoryFileSystem::files() {
    std::vector<Path> paths;
    const std::function<void(const Node&, const Path&)> walk = [&](const Node& node,
                                                                   const Path& path) {
        if (node.type == FileStatus::Type::file) {
            paths.push_back(path);
        }
        for (const auto& [name, child] : node.entries) {
            walk(*child, path / name);
        }
    };
    walk(*root_, "/");
    return paths;
}

}  // namespace repository_test
