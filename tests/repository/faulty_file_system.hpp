// A file system that fails on purpose: it passes calls on to another one, counts them, and fails
// the ones it is told to.
#pragma once

#include "sidecar/repository/file_system.hpp"

#include <functional>
#include <set>

namespace repository_test {

using hot_backup::FileStatus;
using hot_backup::OpenFile;
using hot_backup::Path;

enum class Call {
    create,
    open,
    status,
    list,
    make_directory,
    rename,
    remove,
    inherit_owner,
    sync_directory,
    append,
    read,
    clear,
    sync,
    write_behind,
    lock,
};

struct Fault {
    std::uint64_t at = 0;  // the call that fails, counted from 1; 0: none
    int error = 0;         // errno
    bool lasting = false;  // and so do all after it
    // Only these calls are counted; empty: all.
    std::set<Call> calls = {};
    // What happens just before the call, in place of the failure.
    std::function<void()> meanwhile = {};
};

class FaultyFileSystem final : public hot_backup::FileSystem {
public:
    FaultyFileSystem(FileSystem& below, Fault fault) : below_(below), fault_(std::move(fault)) {}

    std::unique_ptr<OpenFile> create(const Path& path) override;
    std::unique_ptr<OpenFile> open(const Path& path) override;
    std::unique_ptr<OpenFile> open_or_create(const Path& path) override;
    std::unique_ptr<OpenFile> open_for_lock(const Path& path) override;
    std::optional<FileStatus> status(const Path& path) override;
    hot_backup::Space space(const Path& path) override;
    std::vector<std::string> list(const Path& directory) override;
    void make_directory(const Path& path) override;
    void rename(const Path& from, const Path& to) override;
    void remove(const Path& path) override;
    void inherit_owner(const Path& path) override;
    void sync_directory(const Path& directory) override;
    void sync_parent(const Path& path) override;

    // Whether the fault has struck.
    bool struck() const noexcept { return fault_.at > 0 && counted_ >= fault_.at; }
    // The calls counted so far.
    std::uint64_t counted() const noexcept { return counted_; }

    // Counts a call. Throws SystemError when it is one that fails.
    void pass(Call call, const Path& path);

private:
    FileSystem& below_;
    Fault fault_;
    std::uint64_t counted_ = 0;
};

}  // namespace repository_test
