#include "sidecar/capture/readers.hpp"

#include "erlang_port/error.hpp"

#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>

namespace hot_backup {
namespace {

// Enough that no thread waits while the one that conducts takes note of reports.
constexpr std::size_t max_jobs = 64;

// The node goes first. Where this is not allowed the copy is made all the same.
void lower_priority(unsigned niceness) {
    constexpr int of_a_thread = 1;                   // IOPRIO_WHO_PROCESS
    constexpr int lowest_best_effort = 2 << 13 | 7;  // IOPRIO_CLASS_BE
    ::syscall(SYS_ioprio_set, of_a_thread, 0, lowest_best_effort);
    if (niceness > 0) {
        ::setpriority(PRIO_PROCESS, static_cast<id_t>(::syscall(SYS_gettid)),
                      static_cast<int>(niceness));
    }
}

}  // namespace

Readers::Readers(unsigned threads, unsigned niceness, std::size_t block_size)
    : done_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (!done_) {
        throw_read_error("open", "an event descriptor", errno);
    }
    const unsigned wanted = std::max(threads, 1U);
    // All memory is there before the first thread is: nothing may fail while one runs that nobody
    // would join.
    threads_.reserve(wanted);
    buffers_.reserve(wanted);
    while (buffers_.size() < wanted) {
        // A file that is smaller than a block leaves the rest of it untouched, and so without
        // memory.
        buffers_.push_back(std::make_unique_for_overwrite<char[]>(block_size));
    }
    try {
        for (const auto& buffer : buffers_) {
            threads_.emplace_back(
                [=, this, block = std::span(buffer.get(), block_size)] { run(niceness, block); });
        }
    } catch (const std::exception& error) {
        // Those that run do the work, too.
        if (threads_.empty()) {
            throw Error(
                ErrorCode::failed,
                std::string("cannot start a thread that reads files: ") + error.what(),
                "Raise the limit of processes and threads (TasksMax= and LimitNPROC= of the "
                "service, or ulimit -u), or give the backup more memory.");
        }
    }
}

Readers::~Readers() {
    {
        const std::lock_guard lock(mutex_);
        ended_ = true;
        jobs_.clear();
    }
    work_.notify_all();
    for (std::thread& thread : threads_) {
        thread.join();
    }
}

bool Readers::has_room() {
    const std::lock_guard lock(mutex_);
    return jobs_.size() < max_jobs;
}

void Readers::submit(Job job) {
    {
        const std::lock_guard lock(mutex_);
        jobs_.push_back(std::move(job));
    }
    work_.notify_one();
}

std::vector<Readers::Result> Readers::collect() {
    std::uint64_t count = 0;
    // Nothing to read means nothing is done: no error.
    static_cast<void>(::read(done_.number(), &count, sizeof count) < 0);
    const std::lock_guard lock(mutex_);
    if (failure_) {
        std::rethrow_exception(failure_);
    }
    return std::exchange(results_, {});
}

void Readers::run(unsigned niceness, std::span<char> buffer) {
    lower_priority(niceness);
    for (Job job; next(job);) {
        try {
            finish(job.id, job.work(buffer), nullptr);
        } catch (...) {
            finish(job.id, nullptr, std::current_exception());
        }
    }
}

bool Readers::next(Job& job) {
    std::unique_lock lock(mutex_);
    work_.wait(lock, [this] { return ended_ || !jobs_.empty(); });
    if (jobs_.empty()) {
        return false;
    }
    job = std::move(jobs_.front());
    jobs_.pop_front();
    return true;
}

void Readers::finish(std::size_t id, FileCopyPtr copy, std::exception_ptr failure) {
    {
        const std::lock_guard lock(mutex_);
        if (!failure) {
            results_.push_back({id, std::move(copy)});
        } else if (!failure_) {
            failure_ = std::move(failure);
        }
    }
    const std::uint64_t one = 1;
    // It fails only when the count is full, and then there is something to collect.
    static_cast<void>(::write(done_.number(), &one, sizeof one) < 0);
}

}  // namespace hot_backup
