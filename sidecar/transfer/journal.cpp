#include "sidecar/transfer/journal.hpp"

#include "erlang_port/error.hpp"
#include "sidecar/json.hpp"
#include "sidecar/repository/file_system.hpp"
#include "sidecar/repository/random_uuid.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

namespace hot_backup {
namespace {

constexpr const char* format = "rabbitmq-hot-backup restore journal 1";

[[noreturn]] void fail(const std::string& what, const std::string& path) {
    const int error = errno;
    throw Error(ErrorCode::failed, "cannot " + what + " " + path + ": " + std::strerror(error),
                "Name another file with --journal.");
}

[[noreturn]] void damaged(const std::string& path) {
    throw Error(ErrorCode::damaged, path + " is no journal of a restore",
                "Name another file with --journal.");
}

std::string read_all(int fd, const std::string& path) {
    std::string content;
    std::array<char, 65536> buffer{};
    for (;;) {
        const auto got = ::read(fd, buffer.data(), buffer.size());
        if (got < 0) {
            fail("read", path);
        }
        if (got == 0) {
            return content;
        }
        content.append(buffer.data(), static_cast<std::size_t>(got));
    }
}

OrderedJson to_json(const RestoreIdentity& identity) {
    return {{"format", format},
            {"backup", identity.backup},
            {"source", identity.source},
            {"target", identity.target},
            {"as", identity.as}};
}

OrderedJson to_json(const QueueName& queue, const QueueJournal& entry) {
    return {{"vhost", queue.vhost},
            {"queue", queue.name},
            {"transfer", entry.transfer},
            {"sent", entry.sent},
            {"confirmed", entry.confirmed},
            {"sum_high", entry.sum.high},
            {"sum_low", entry.sum.low},
            {"done", entry.done},
            {"doubtful_begin", entry.doubtful_begin},
            {"doubtful_end", entry.doubtful_end},
            {"identity", entry.identity}};
}

QueueJournal new_entry() {
    QueueJournal entry;
    entry.transfer = random_uuid();
    return entry;
}

}  // namespace

void MessageSum::add(const MessageSum& other) noexcept {
    low += other.low;
    high += other.high + (low < other.low ? 1 : 0);
}

Journal::Journal(std::string path, const RestoreIdentity& identity) : path_(std::move(path)) {
    fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd_ < 0) {
        fail("open", path_);
    }
    try {
        if (::flock(fd_, LOCK_EX | LOCK_NB) != 0) {
            throw Error(ErrorCode::locked, "another restore writes the journal " + path_,
                        "Wait until it has ended.");
        }
        struct stat status {};
        if (::fstat(fd_, &status) != 0) {
            fail("read", path_);
        }
        if (!S_ISREG(status.st_mode) || status.st_uid != ::geteuid()) {
            throw Error(ErrorCode::failed, path_ + " is not a file of this user",
                        "Name another file with --journal.");
        }
        read(identity);
    } catch (...) {
        ::close(fd_);
        throw;
    }
}

Journal::~Journal() {
    ::close(fd_);
}

void Journal::read(const RestoreIdentity& identity) {
    const auto content = read_all(fd_, path_);
    const auto whole = content.rfind('\n') + 1;  // 0 when there is no whole line
    if (whole == 0) {
        begin(content, to_line(to_json(identity)));
        return;
    }
    resumed_ = true;
    try {
        std::string_view rest(content.data(), whole);
        for (bool first = true; !rest.empty(); first = false) {
            const auto end = rest.find('\n');
            const auto line = OrderedJson::parse(rest.substr(0, end));
            rest.remove_prefix(end + 1);
            if (first) {
                if (line.at("format") != format) {
                    damaged(path_);
                }
                if (line != to_json(identity)) {
                    throw Error(ErrorCode::usage,
                                "the journal " + path_ + " is of another restore: of " +
                                    line.at("backup").get<std::string>() + " into " +
                                    line.at("target").get<std::string>(),
                                "Name another file with --journal, or remove that one if its "
                                "restore is not to be continued.");
                }
                continue;
            }
            entries_[{line.at("vhost"), line.at("queue")}] = {
                line.at("transfer"),     line.at("sent"),
                line.at("confirmed"),    {line.at("sum_high"), line.at("sum_low")},
                line.at("done"),         line.at("doubtful_begin"),
                line.at("doubtful_end"), line.at("identity")};
        }
    } catch (const OrderedJson::exception&) {
        damaged(path_);
    }
    // What was being written when the restore was cut off.
    if (whole < content.size() && ::ftruncate(fd_, static_cast<off_t>(whole)) != 0) {
        fail("write", path_);
    }
}

// Only what this very restore may have begun to write is written over.
void Journal::begin(const std::string& content, const std::string& header) {
    if (!header.starts_with(content)) {
        damaged(path_);
    }
    if (::ftruncate(fd_, 0) != 0) {
        fail("write", path_);
    }
    append(header);
    posix_file_system().sync_parent(path_);
}

QueueJournal Journal::find(const QueueName& queue) const {
    const auto found = entries_.find(queue);
    if (found != entries_.end()) {
        return found->second;
    }
    return new_entry();
}

void Journal::forget(const QueueName& queue) {
    write(queue, new_entry());
}

void Journal::write(const QueueName& queue, const QueueJournal& entry) {
    append(to_line(to_json(queue, entry)));
    entries_[queue] = entry;
}

void Journal::append(const std::string& line) {
    const auto text = line + "\n";
    std::string_view rest = text;
    while (!rest.empty()) {
        const auto written = ::write(fd_, rest.data(), rest.size());
        if (written < 0 && errno != EINTR) {
            fail("write", path_);
        }
        rest.remove_prefix(written > 0 ? static_cast<std::size_t>(written) : 0);
    }
    if (::fdatasync(fd_) != 0) {
        fail("sync", path_);
    }
}

void Journal::remove() {
    if (::unlink(path_.c_str()) != 0) {
        fail("remove", path_);
    }
}

}  // namespace hot_backup
