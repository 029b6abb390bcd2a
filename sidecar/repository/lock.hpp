// The lock: at most one process writes to a repository. docs/format.md, "The lock".
//
// Readers take no lock. Two things say that the lock is held: the flock() of its file, which the
// kernel drops whatever ends the holder, and the content, which also speaks for holders on other
// hosts, where a network file system may not share the flock.
#pragma once

#include "sidecar/repository/file_system.hpp"
#include "sidecar/repository/process_identity.hpp"

#include <chrono>
#include <functional>
#include <memory>

namespace hot_backup {

class Lock {
public:
    // Takes the lock of the repository in `directory`, from a dead holder where need be. `command`
    // is what the holder is said to be doing: "create", "delete". Error locked: another holds it;
    // the message names host, pid, command and since when.
    Lock(FileSystem& file_system, const Path& directory, std::string_view command,
         const ProcessIdentity& self = this_process());
    // Gives it back. What fails here is left for the next one to take over.
    ~Lock();
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;

    // Error locked: the lock's file was removed, so another process may hold the lock by now. What
    // the lock protects is left alone then: a writer asks before each step that cannot be undone.
    void throw_unless_held() const;

    // The lock's file.
    const Path& path() const noexcept { return path_; }

private:
    void take(std::string_view command, const ProcessIdentity& self);
    bool is_still_the_lock() const;

    FileSystem& file_system_;
    Path path_;
    std::unique_ptr<OpenFile> file_;
};

// Has to wait for so long, and is told what stands in the way. What it throws ends the waiting.
using LockWait = std::function<void(std::chrono::milliseconds pause, const Error& locked)>;

// Takes the lock as soon as no other process has it. It looks again after a second at first, after
// half a minute at last. Error locked when that was not within `patience`.
std::unique_ptr<Lock> wait_for_lock(FileSystem& file_system, const Path& directory,
                                    std::string_view command, std::chrono::milliseconds patience,
                                    const LockWait& wait);

}  // namespace hot_backup
