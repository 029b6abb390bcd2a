// A file that says which process has something to itself, and with whom: `lock`, and the leases of
// those who write parts of one cluster backup. docs/format.md, "The lock".
//
// Two things say that it is held: the flock() of the file, which the kernel drops whatever ends the
// holder, and the content, which also speaks for holders on other hosts, where a network file
// system may not share the flock.
#pragma once

#include "sidecar/repository/file_system.hpp"
#include "sidecar/repository/process_identity.hpp"

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace hot_backup {

// What the content of such a file says.
struct LockHolder {
    ProcessIdentity process;
    std::string command;
    std::string since;
    std::string group;    // the cluster backup whose parts are written; else empty
    std::string backup;   // the ID of the part; empty until it is chosen, and in `lock`
    bool moment = false;  // it holds the file for a short step only: who needs it too waits
};

class LockFile {
public:
    // Takes the file, from a dead holder where need be. Error locked: another holds it; the message
    // names host, pid, command and since when. The repository is the one that is locked.
    LockFile(FileSystem& file_system, const Path& path, const Path& repository,
             const LockHolder& self);
    // Gives it back. What fails here is left for the next one to take over.
    ~LockFile();
    LockFile(const LockFile&) = delete;
    LockFile& operator=(const LockFile&) = delete;

    // False when it was removed, so that another process may hold it by now.
    bool is_held() const;
    const Path& path() const noexcept { return path_; }
    // Replaces what it says of its holder.
    void write(const LockHolder& self);

private:
    void take(const LockHolder& self);

    FileSystem& file_system_;
    Path path_;
    Path repository_;
    std::unique_ptr<OpenFile> file_;
};

// Who holds the file, without a name where its disk was full; nothing when nobody does. A stale one
// is removed, which only who holds `lock` may let happen. Error locked: it says something else.
std::optional<LockHolder> find_holder(FileSystem& file_system, const Path& path,
                                      const Path& repository, const ProcessIdentity& self);
// Without a look at who still lives; nothing when it is no such file.
std::optional<LockHolder> read_holder(FileSystem& file_system, const Path& path);

// The Error for a repository that another one has.
Error locked_error(const Path& repository, const Path& file,
                   const std::optional<LockHolder>& holder, const ProcessIdentity& self);

}  // namespace hot_backup
