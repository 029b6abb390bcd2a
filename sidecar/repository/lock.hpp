// The lock: at most one process writes to a repository, but for those that write parts of the same
// cluster backup. docs/format.md, "The lock", "Leases".
//
// Readers take no lock. Who writes a backup of a node, or deletes, has the file `lock` for as long
// as it works. Who writes a part of a cluster backup has a lease of its own, and `lock` only for
// steps that concern the whole repository: the parts form a group.
#pragma once

#include "sidecar/repository/lock_file.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace hot_backup {

class Lock {
public:
    // Takes the lock of the repository in `directory`, from a dead holder where need be. `command`
    // is what the holder is said to be doing: "create", "delete". `group` is the ID of the cluster
    // backup of which a part is written; empty: nobody else may write meanwhile. Error locked:
    // another holds it; the message names host, pid, command and since when.
    Lock(FileSystem& file_system, const Path& directory, std::string_view command,
         const ProcessIdentity& self = this_process(), std::string_view group = {});
    ~Lock();
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;

    // Error locked: the lock's file was removed, so another process may hold the lock by now. What
    // the lock protects is left alone then: a writer asks before each step that cannot be undone.
    void throw_unless_held() const;

    // Runs a step that concerns the whole repository while no other one of the group runs one.
    // Waits for that up to ten seconds; then Error locked. A step has no step in it.
    void exclusively(const std::function<void()>& step) const;

    // The next three are for such steps.

    // The ID above which everything belongs to others of the group that are at work; empty when
    // there are none.
    std::string begin_of_others() const;
    // The highest ID that others of the group have chosen; empty: none.
    std::string last_chosen_by_others() const;
    // Makes a choice known to the others.
    void choose(std::string_view backup_id) const;

    const std::string& group() const noexcept { return self_.group; }
    // The lock's file.
    const Path& path() const noexcept { return file_->path(); }

private:
    Path lock_path() const { return directory_ / "lock"; }
    Path leases() const { return directory_ / "writers"; }
    // Of the group: for a moment.
    std::unique_ptr<LockFile> take_moment() const;
    struct Lease {
        Path path;
        LockHolder holder;
    };
    // Of all others who have one. Stale ones are removed.
    std::vector<Lease> read_leases() const;
    // Error locked: somebody works here who is not of this group.
    void refuse_strangers() const;

    FileSystem& file_system_;
    Path directory_;
    LockHolder self_;
    std::unique_ptr<LockFile> file_;  // `lock`, or the lease
};

// Has to wait for so long, and is told what stands in the way. What it throws ends the waiting.
using LockWait = std::function<void(std::chrono::milliseconds pause, const Error& locked)>;

// Takes the lock as soon as no other process has it. It looks again after a second at first, after
// half a minute at last. Error locked when that was not within `patience`.
std::unique_ptr<Lock> wait_for_lock(FileSystem& file_system, const Path& directory,
                                    std::string_view command, std::chrono::milliseconds patience,
                                    const LockWait& wait, std::string_view group = {});

}  // namespace hot_backup
