#include "sidecar/repository/lock.hpp"

#include "sidecar/repository/json_fields.hpp"

#include <algorithm>

namespace hot_backup {
namespace {

// A lock has about 200 bytes; more is not a lock.
constexpr std::size_t max_content = 4096;

struct Holder {
    ProcessIdentity process;
    std::string command;
    std::string since;
};

std::string read_content(OpenFile& file) {
    std::string content(max_content, '\0');
    content.resize(file.read_at(0, content));
    return content;
}

// Nothing when the content is not that of a lock.
std::optional<Holder> parse_holder(const std::string& content) {
    try {
        const Json json = parse_object(content);
        const Fields fields(json);
        Holder holder;
        holder.process = {fields.text("host"), static_cast<std::int64_t>(fields.number("pid")),
                          fields.number("process_start"), fields.text("boot_id"),
                          fields.has("machine_id") ? fields.text("machine_id") : ""};
        holder.command = fields.text("command");
        holder.since = fields.text("since");
        return holder;
    } catch (const BadField&) {
        return std::nullopt;
    }
}

std::string content_for(std::string_view command, const ProcessIdentity& self) {
    return to_line(OrderedJson{{"host", self.host},
                               {"pid", self.pid},
                               {"process_start", self.process_start},
                               {"boot_id", self.boot_id},
                               {"machine_id", self.machine_id},
                               {"command", command},
                               {"since", to_text(now())}}) +
           '\n';
}

// An ID that could not be read says nothing.
bool is_same_id(const std::string& one, const std::string& other) {
    return !one.empty() && one == other;
}

// Whether the holder cannot be at work any more, given that nobody has the file's flock.
bool is_gone(const ProcessIdentity& holder, const ProcessIdentity& self) {
    if (is_same_id(holder.boot_id, self.boot_id)) {
        // On another host it is a container of this machine, or this machine before it was renamed:
        // its pid says nothing here, but its flock would be seen. This process itself could not
        // remove its lock.
        return holder.host != self.host || holder == self ||
               process_start_of(holder.pid) != holder.process_start;
    }
    // This machine before it booted. Its host name alone does not say so: machines and containers
    // that share a network file system may share that, too.
    return holder.host == self.host && is_same_id(holder.machine_id, self.machine_id) &&
           !holder.boot_id.empty() && !self.boot_id.empty();
}

Error locked_error(const Path& path, const std::optional<Holder>& holder,
                   const ProcessIdentity& self) {
    const std::string repository = path.parent_path().string();
    if (!holder) {
        return {ErrorCode::locked, "repository " + repository + " is locked by another process",
                "Wait until it is done, then try again."};
    }
    const ProcessIdentity& process = holder->process;
    std::string hint = "Wait until it is done, then try again.";
    if (process.host != self.host) {
        hint += " If host " + process.host + " is known to be down, remove " + path.string() + '.';
    } else if (!is_same_id(process.boot_id, self.boot_id)) {
        hint += " If the machine or container " + process.host +
                " that made the lock is known to be down, remove " + path.string() + '.';
    }
    return {ErrorCode::locked,
            "repository " + repository + " is locked by process " + std::to_string(process.pid) +
                " on host " + process.host + " (" + holder->command + ", since " + holder->since +
                ')',
            hint};
}

}  // namespace

Lock::Lock(FileSystem& file_system, const Path& directory, std::string_view command,
           const ProcessIdentity& self)
    : file_system_(file_system), path_(directory / "lock") {
    // A file that is no longer called `lock` when its flock is ours was removed by a holder that
    // had finished: each further try means that one more has.
    for (int tries = 0; tries < 100; ++tries) {
        file_ = file_system_.open_or_create(path_);
        if (!file_->try_lock()) {
            break;
        }
        if (is_still_the_lock()) {
            take(command, self);
            return;
        }
    }
    throw locked_error(path_, parse_holder(read_content(*file_)), self);
}

Lock::~Lock() {
    try {
        // Removed before the flock goes: who waits for it then finds that the file is no longer the
        // lock.
        if (is_still_the_lock()) {
            file_system_.remove(path_);
        }
    } catch (const Error&) {
    }
}

void Lock::take(std::string_view command, const ProcessIdentity& self) {
    const std::string content = read_content(*file_);
    // Without a line feed at its end it is not whole: its writer died, or its disk was full.
    if (content.ends_with('\n')) {
        const auto holder = parse_holder(content);
        if (!holder) {
            throw Error(ErrorCode::locked,
                        "repository " + path_.parent_path().string() +
                            " is locked, and its lock does not say by whom",
                        "If no other process writes to it, remove " + path_.string() + '.');
        }
        if (!is_gone(holder->process, self)) {
            throw locked_error(path_, holder, self);
        }
    }
    try {
        file_system_.inherit_owner(path_);
        file_->clear();
        file_->append(content_for(command, self));
        file_->sync();
    } catch (const SystemError& error) {
        // A full disk must not keep `delete` from making room. The flock alone locks on this host.
        if (!error.no_space()) {
            file_system_.remove(path_);
            throw;
        }
        file_->clear();
    }
}

void Lock::throw_unless_held() const {
    if (!is_still_the_lock()) {
        throw Error(ErrorCode::locked,
                    "repository " + path_.parent_path().string() +
                        " is no longer locked by this process: its lock was removed",
                    "Do not remove " + path_.string() +
                        " while a backup or deletion runs. Make sure that no other one runs, then "
                        "try again.");
    }
}

bool Lock::is_still_the_lock() const {
    const auto status = file_system_.status(path_);
    return status && status->identity == file_->status().identity;
}

std::unique_ptr<Lock> wait_for_lock(FileSystem& file_system, const Path& directory,
                                    std::string_view command, std::chrono::milliseconds patience,
                                    const LockWait& wait) {
    constexpr std::chrono::milliseconds longest_pause = std::chrono::seconds(30);
    std::chrono::milliseconds pause = std::chrono::seconds(1);
    const auto deadline = std::chrono::steady_clock::now() + patience;
    for (;;) {
        try {
            return std::make_unique<Lock>(file_system, directory, command);
        } catch (const Error& error) {
            const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
                deadline - std::chrono::steady_clock::now());
            if (error.code() != ErrorCode::locked || left.count() <= 0) {
                throw;
            }
            wait(std::min(pause, left), error);
            pause = std::min(2 * pause, longest_pause);
        }
    }
}

}  // namespace hot_backup
