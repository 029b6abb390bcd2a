#include "sidecar/repository/lock.hpp"

#include "sidecar/repository/random_uuid.hpp"
#include "sidecar/repository/timestamp.hpp"

#include <algorithm>
#include <thread>

namespace hot_backup {
namespace {

constexpr std::chrono::seconds longest_step{10};
constexpr std::chrono::milliseconds next_look{10};

}  // namespace

Lock::Lock(FileSystem& file_system, const Path& directory, std::string_view command,
           const ProcessIdentity& self, std::string_view group)
    : file_system_(file_system),
      directory_(directory),
      self_{self, std::string(command), to_text(now()), std::string(group), {}} {
    if (group.empty()) {
        file_ = std::make_unique<LockFile>(file_system_, lock_path(), directory_, self_);
        refuse_strangers();
        return;
    }
    const auto moment = take_moment();
    refuse_strangers();
    file_system_.make_directory(leases());
    file_system_.inherit_owner(leases());
    file_ = std::make_unique<LockFile>(file_system_, leases() / random_uuid(), directory_, self_);
}

Lock::~Lock() = default;

void Lock::throw_unless_held() const {
    if (!file_->is_held()) {
        throw Error(ErrorCode::locked,
                    "repository " + directory_.string() +
                        " is no longer locked by this process: its lock was removed",
                    "Do not remove " + path().string() +
                        " while a backup or deletion runs. Make sure that no other one runs, then "
                        "try again.");
    }
}

void Lock::exclusively(const std::function<void()>& step) const {
    if (group().empty()) {
        step();
        return;
    }
    const auto moment = take_moment();
    throw_unless_held();
    step();
}

std::unique_ptr<LockFile> Lock::take_moment() const {
    const auto deadline = std::chrono::steady_clock::now() + longest_step;
    LockHolder self = self_;
    self.moment = true;
    for (;;) {
        try {
            return std::make_unique<LockFile>(file_system_, lock_path(), directory_, self);
        } catch (const Error& error) {
            // One that has just taken it may not have said so yet.
            const auto holder = read_holder(file_system_, lock_path());
            const bool for_long = holder && !holder->moment;
            if (error.code() != ErrorCode::locked || for_long ||
                std::chrono::steady_clock::now() >= deadline) {
                throw;
            }
        }
        std::this_thread::sleep_for(next_look);
    }
}

std::vector<Lock::Lease> Lock::read_leases() const {
    std::vector<Lease> found;
    // The directory is there from the first part on.
    if (!file_system_.status(leases())) {
        return found;
    }
    for (const std::string& name : file_system_.list(leases())) {
        const Path path = leases() / name;
        if (file_ && path == file_->path()) {
            continue;
        }
        if (auto holder = find_holder(file_system_, path, directory_, self_.process)) {
            found.push_back({path, std::move(*holder)});
        }
    }
    return found;
}

void Lock::refuse_strangers() const {
    for (const auto& [path, holder] : read_leases()) {
        if (group().empty() || holder.group != group()) {
            throw locked_error(directory_, path, holder, self_.process);
        }
    }
}

std::string Lock::begin_of_others() const {
    return group().empty() || read_leases().empty() ? std::string() : group();
}

std::string Lock::last_chosen_by_others() const {
    std::string last;
    if (!group().empty()) {
        for (const Lease& lease : read_leases()) {
            last = std::max(last, lease.holder.backup);
        }
    }
    return last;
}

void Lock::choose(std::string_view backup_id) const {
    if (!group().empty()) {
        LockHolder self = self_;
        self.backup = backup_id;
        file_->write(self);
    }
}

std::unique_ptr<Lock> wait_for_lock(FileSystem& file_system, const Path& directory,
                                    std::string_view command, std::chrono::milliseconds patience,
                                    const LockWait& wait, std::string_view group) {
    constexpr std::chrono::milliseconds longest_pause = std::chrono::seconds(30);
    std::chrono::milliseconds pause = std::chrono::seconds(1);
    const auto deadline = std::chrono::steady_clock::now() + patience;
    for (;;) {
        try {
            return std::make_unique<Lock>(file_system, directory, command, this_process(), group);
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
