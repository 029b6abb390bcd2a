#include "sidecar/repository/lock_file.hpp"

#include "sidecar/repository/json_fields.hpp"

namespace hot_backup {
namespace {

// A lock has about 200 bytes; more is not a lock.
constexpr std::size_t max_content = 4096;

std::string read_content(OpenFile& file) {
    std::string content(max_content, '\0');
    content.resize(file.read_at(0, content));
    return content;
}

// Nothing when the content is not that of a lock.
std::optional<LockHolder> parse_holder(const std::string& content) {
    try {
        const Json json = parse_object(content);
        const Fields fields(json);
        const auto text_or_empty = [&](const char* key) {
            return fields.has(key) ? fields.text(key) : std::string();
        };
        LockHolder holder;
        holder.process = {fields.text("host"), static_cast<std::int64_t>(fields.number("pid")),
                          fields.number("process_start"), fields.text("boot_id"),
                          text_or_empty("machine_id")};
        holder.command = fields.text("command");
        holder.since = fields.text("since");
        holder.group = text_or_empty("group");
        holder.backup = text_or_empty("backup");
        holder.moment = fields.has("moment") && fields.boolean("moment");
        return holder;
    } catch (const BadField&) {
        return std::nullopt;
    }
}

std::string content_for(const LockHolder& self) {
    OrderedJson json{{"host", self.process.host},
                     {"pid", self.process.pid},
                     {"process_start", self.process.process_start},
                     {"boot_id", self.process.boot_id},
                     {"machine_id", self.process.machine_id},
                     {"command", self.command},
                     {"since", self.since}};
    if (!self.group.empty()) {
        json["group"] = self.group;
    }
    if (!self.backup.empty()) {
        json["backup"] = self.backup;
    }
    if (self.moment) {
        json["moment"] = true;
    }
    return to_line(json) + '\n';
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

Error nameless_error(const Path& repository, const Path& file) {
    return {ErrorCode::locked,
            "repository " + repository.string() + " is locked, and its lock does not say by whom",
            "If no other process writes to it, remove " + file.string() + '.'};
}

bool is_called(FileSystem& file_system, const Path& path, OpenFile& file) {
    const auto status = file_system.status(path);
    return status && status->identity == file.status().identity;
}

// Who holds a file whose flock nobody has; nothing when it is stale. Without a line feed at its end
// the content is not whole: its writer died, or its disk was full.
std::optional<LockHolder> holder_by_content(OpenFile& file, const Path& repository,
                                            const Path& path, const ProcessIdentity& self) {
    const std::string content = read_content(file);
    if (!content.ends_with('\n')) {
        return std::nullopt;
    }
    auto holder = parse_holder(content);
    if (!holder) {
        throw nameless_error(repository, path);
    }
    return is_gone(holder->process, self) ? std::nullopt : std::move(holder);
}

}  // namespace

Error locked_error(const Path& repository, const Path& file,
                   const std::optional<LockHolder>& holder, const ProcessIdentity& self) {
    if (!holder || holder->process.host.empty()) {
        return {ErrorCode::locked,
                "repository " + repository.string() + " is locked by another process",
                "Wait until it is done, then try again."};
    }
    const ProcessIdentity& process = holder->process;
    std::string hint = "Wait until it is done, then try again.";
    if (process.host != self.host) {
        hint += " If host " + process.host + " is known to be down, remove " + file.string() + '.';
    } else if (!is_same_id(process.boot_id, self.boot_id)) {
        hint += " If the machine or container " + process.host +
                " that made the lock is known to be down, remove " + file.string() + '.';
    }
    return {ErrorCode::locked,
            "repository " + repository.string() + " is locked by process " +
                std::to_string(process.pid) + " on host " + process.host + " (" + holder->command +
                ", since " + holder->since + ')',
            hint};
}

LockFile::LockFile(FileSystem& file_system, const Path& path, const Path& repository,
                   const LockHolder& self)
    : file_system_(file_system), path_(path), repository_(repository) {
    // A file that is no longer called so when its flock is ours was removed by a holder that had
    // finished: each further try means that one more has.
    for (int tries = 0; tries < 100; ++tries) {
        file_ = file_system_.open_or_create(path_);
        if (!file_->try_lock()) {
            break;
        }
        if (is_held()) {
            take(self);
            return;
        }
    }
    throw locked_error(repository_, path_, parse_holder(read_content(*file_)), self.process);
}

LockFile::~LockFile() {
    try {
        // Removed before the flock goes: who waits for it then finds that the file is no longer the
        // lock.
        if (is_held()) {
            file_system_.remove(path_);
        }
    } catch (const Error&) {
    }
}

void LockFile::take(const LockHolder& self) {
    if (const auto holder = holder_by_content(*file_, repository_, path_, self.process)) {
        throw locked_error(repository_, path_, holder, self.process);
    }
    try {
        file_system_.inherit_owner(path_);
        write(self);
    } catch (const SystemError& error) {
        // A full disk must not keep `delete` from making room. The flock alone locks on this host.
        if (!error.no_space()) {
            file_system_.remove(path_);
            throw;
        }
        file_->clear();
    }
}

void LockFile::write(const LockHolder& self) {
    file_->clear();
    file_->append(content_for(self));
    file_->sync();
}

bool LockFile::is_held() const {
    return is_called(file_system_, path_, *file_);
}

std::optional<LockHolder> find_holder(FileSystem& file_system, const Path& path,
                                      const Path& repository, const ProcessIdentity& self) {
    try {
        const auto file = file_system.open_for_lock(path);
        if (!file->try_lock()) {
            return parse_holder(read_content(*file)).value_or(LockHolder{});
        }
        if (!is_called(file_system, path, *file)) {
            return std::nullopt;
        }
        auto holder = holder_by_content(*file, repository, path, self);
        if (!holder) {
            file_system.remove(path);
        }
        return holder;
    } catch (const Error& error) {
        if (error.code() != ErrorCode::not_found) {
            throw;
        }
        return std::nullopt;  // its holder has just finished
    }
}

std::optional<LockHolder> read_holder(FileSystem& file_system, const Path& path) {
    try {
        const auto file = file_system.open(path);
        return parse_holder(read_content(*file));
    } catch (const Error&) {
        return std::nullopt;
    }
}

}  // namespace hot_backup
