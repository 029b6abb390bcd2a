#include "sidecar/restore/running_node.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <map>
#include <system_error>
#include <vector>

namespace hot_backup {
namespace {

namespace fs = std::filesystem;
using Inode = std::pair<dev_t, ino_t>;

std::optional<Inode> inode_of(const Path& path, bool follow) {
    struct stat status {};
    const int result = follow ? ::stat(path.c_str(), &status) : ::lstat(path.c_str(), &status);
    return result == 0 ? std::optional<Inode>({status.st_dev, status.st_ino}) : std::nullopt;
}

// The pids of Erlang VMs.
std::vector<pid_t> erlang_machines() {
    std::vector<pid_t> found;
    std::error_code error;
    for (fs::directory_iterator process("/proc", error), end; !error && process != end;
         process.increment(error)) {
        const std::string name = process->path().filename();
        pid_t pid = 0;
        const auto parsed = std::from_chars(name.data(), name.data() + name.size(), pid);
        if (parsed.ec != std::errc{} || parsed.ptr != name.data() + name.size()) {
            continue;
        }
        std::string program;
        std::getline(std::ifstream(process->path() / "comm"), program);
        if (program.starts_with("beam")) {
            found.push_back(pid);
        }
    }
    return found;
}

// The open files of all VMs on one device, and whose they are.
class OpenFiles {
public:
    OpenFiles(const Path& directory, dev_t device) {
        const std::string below = directory.string() + "/";
        for (const pid_t pid : erlang_machines()) {
            const Path descriptors = "/proc/" + std::to_string(pid) + "/fd";
            std::error_code error;
            for (fs::directory_iterator file(descriptors, error), end; !error && file != end;
                 file.increment(error)) {
                std::error_code closed;
                if (fs::read_symlink(file->path(), closed).string().starts_with(below)) {
                    user_ = pid;
                }
                if (const auto inode = inode_of(file->path(), true);
                    inode && inode->first == device) {
                    owners_.emplace(*inode, pid);
                }
            }
        }
    }

    // Who has a file open whose name says that it lies in the directory.
    std::optional<pid_t> user_by_name() const { return user_; }
    bool any() const { return !owners_.empty(); }
    std::optional<pid_t> owner(const Inode& inode) const {
        const auto found = owners_.find(inode);
        return found == owners_.end() ? std::nullopt : std::optional(found->second);
    }

private:
    std::optional<pid_t> user_;
    std::map<Inode, pid_t> owners_;
};

}  // namespace

std::optional<pid_t> node_that_uses(const Path& directory) {
    const auto self = inode_of(directory, false);
    const OpenFiles open(directory, self ? self->first : 0);
    if (open.user_by_name() || !self || !open.any()) {
        return open.user_by_name();
    }
    std::error_code error;
    for (fs::recursive_directory_iterator
             file(directory, fs::directory_options::skip_permission_denied, error),
         end;
         !error && file != end; file.increment(error)) {
        const auto inode = inode_of(file->path(), false);
        if (const auto owner = inode ? open.owner(*inode) : std::nullopt) {
            return owner;
        }
    }
    return std::nullopt;
}

}  // namespace hot_backup
