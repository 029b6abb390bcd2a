#include "tests/repository/faulty_file_system.hpp"

namespace repository_test {
namespace {

class FaultyFile final : public OpenFile {
public:
    FaultyFile(FaultyFileSystem& owner, std::unique_ptr<OpenFile> below, Path path)
        : owner_(owner), below_(std::move(below)), path_(std::move(path)) {}

    // A write that fails has written half.
    void append(std::string_view bytes) override {
        try {
            owner_.pass(Call::append, path_);
        } catch (const hot_backup::SystemError&) {
            below_->append(bytes.substr(0, bytes.size() / 2));
            throw;
        }
        below_->append(bytes);
    }
    std::size_t read_at(std::uint64_t offset, std::span<char> buffer) override {
        owner_.pass(Call::read, path_);
        return below_->read_at(offset, buffer);
    }
    FileStatus status() override {
        owner_.pass(Call::status, path_);
        return below_->status();
    }
    void clear() override {
        owner_.pass(Call::clear, path_);
        below_->clear();
    }
    void sync() override {
        owner_.pass(Call::sync, path_);
        below_->sync();
    }
    void write_behind(std::uint64_t window) override {
        owner_.pass(Call::write_behind, path_);
        below_->write_behind(window);
    }
    void read_from_disk() noexcept override { below_->read_from_disk(); }
    bool try_lock() override {
        owner_.pass(Call::lock, path_);
        return below_->try_lock();
    }

private:
    FaultyFileSystem& owner_;
    std::unique_ptr<OpenFile> below_;
    Path path_;
};

}  // namespace

void FaultyFileSystem::pass(Call call, const Path& path) {
    if (!fault_.calls.empty() && !fault_.calls.contains(call)) {
        return;
    }
    ++counted_;
    if (counted_ == fault_.at && fault_.meanwhile) {
        fault_.meanwhile();
        return;
    }
    if (counted_ == fault_.at || (fault_.lasting && struck())) {
        throw hot_backup::SystemError(fault_.error, "use", path);
    }
}

std::unique_ptr<OpenFile> FaultyFileSystem::create(const Path& path) {
    pass(Call::create, path);
    return std::make_unique<FaultyFile>(*this, below_.create(path), path);
}

std::unique_ptr<OpenFile> FaultyFileSystem::open(const Path& path) {
    pass(Call::open, path);
    return std::make_unique<FaultyFile>(*this, below_.open(path), path);
}

std::unique_ptr<OpenFile> FaultyFileSystem::open_or_create(const Path& path) {
    pass(Call::create, path);
    return std::make_unique<FaultyFile>(*this, below_.open_or_create(path), path);
}

std::unique_ptr<OpenFile> FaultyFileSystem::open_for_lock(const Path& path) {
    pass(Call::open, path);
    return std::make_unique<FaultyFile>(*this, below_.open_for_lock(path), path);
}

hot_backup::Space FaultyFileSystem::space(const Path& path) {
    pass(Call::status, path);
    return below_.space(path);
}

std::optional<FileStatus> FaultyFileSystem::status(const Path& path) {
    pass(Call::status, path);
    return below_.status(path);
}

std::vector<std::string> FaultyFileSystem::list(const Path& directory) {
    pass(Call::list, directory);
    return below_.list(directory);
}

void FaultyFileSystem::make_directory(const Path& path) {
    pass(Call::make_directory, path);
    below_.make_directory(path);
}

void FaultyFileSystem::rename(const Path& from, const Path& to) {
    pass(Call::rename, to);
    below_.rename(from, to);
}

void FaultyFileSystem::remove(const Path& path) {
    pass(Call::remove, path);
    below_.remove(path);
}

void FaultyFileSystem::inherit_owner(const Path& path) {
    pass(Call::inherit_owner, path);
    below_.inherit_owner(path);
}

void FaultyFileSystem::sync_directory(const Path& directory) {
    pass(Call::sync_directory, directory);
    below_.sync_directory(directory);
}

void FaultyFileSystem::sync_parent(const Path& path) {
    pass(Call::sync_directory, path);
    below_.sync_parent(path);
}

}  // namespace repository_test
