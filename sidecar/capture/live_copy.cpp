#include "sidecar/capture/live_copy.hpp"

#include "sidecar/capture/cut.hpp"
#include "sidecar/capture/image_entries.hpp"
#include "sidecar/capture/readers.hpp"

#include <poll.h>
#include <sys/resource.h>
#include <algorithm>

namespace hot_backup {
namespace {

constexpr std::chrono::milliseconds listener_interval{100};
// The kernel keeps 16,384 reports. A wait for each of them would cost more than it gains.
constexpr std::chrono::milliseconds drain_interval{20};
// What a cut is given beyond twice of what the last pass left.
constexpr std::uint64_t arena_slack = std::uint64_t{4} << 20;
// The front of a Raft segment that was not read yet, with the number of entries that Ra has by
// default.
constexpr std::uint64_t usual_raft_index_end = raft_header_size + 4096 * 32;

// The files of a cut are open until their tails are read.
void raise_file_limit() {
    struct rlimit limit {};
    if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        // Without it the cut says what it lacks.
        ::setrlimit(RLIMIT_NOFILE, &limit);
    }
}

struct EndWork {
    explicit EndWork(std::atomic<bool>& ended) : ended_(ended) { ended = false; }
    EndWork(const EndWork&) = delete;
    EndWork& operator=(const EndWork&) = delete;
    ~EndWork() { ended_ = true; }

private:
    std::atomic<bool>& ended_;
};

// Where the length of a Raft log says nothing: it was allocated ahead.
std::uint64_t rest_of_raft_log(const CopyTask& task) {
    const Descriptor file = open_regular_file(task.path);
    if (!file) {
        return 0;
    }
    const ReadPlan plan = plan_read(file, status_of(file, task.path), task);
    return plan.size - plan.from;
}

// What of a file a cut would read now, and what after it, as far as its size tells.
Remainder remainder_of(const CopyTask& task, const NodeFileStatus& status) {
    Remainder rest{1, 0, 0};
    const FileCopy* before = task.before.get();
    const bool extends = before != nullptr && before->extendable &&
                         before->status.same_file(status) && before->size <= status.size;
    const std::uint64_t copied = extends ? before->size : 0;
    switch (task.rule) {
        case CopyRule::raft_log:
            rest.tail_bytes =
                extends && before->whole_entries ? rest_of_raft_log(task) : status.size - copied;
            break;
        case CopyRule::append_only:
            rest.tail_bytes = status.size - copied;
            break;
        case CopyRule::raft_segment:
            rest.memory_bytes =
                std::min(before != nullptr ? before->front : usual_raft_index_end, status.size);
            rest.tail_bytes = status.size - std::max(copied, rest.memory_bytes);
            break;
        case CopyRule::journal:
            rest.memory_bytes = status.size - copied;
            break;
        case CopyRule::message_store:
            rest.memory_bytes = status.size - (task.highest ? copied : 0);
            break;
        case CopyRule::in_place:
        case CopyRule::combine_in_flight:
        case CopyRule::left_out:
            rest.memory_bytes = status.size;
            break;
    }
    return rest;
}

void add(Remainder& sum, const Remainder& more) {
    sum.files += more.files;
    sum.memory_bytes += more.memory_bytes;
    sum.tail_bytes += more.tail_bytes;
}

}  // namespace

class LiveCopy::Implementation {
public:
    Implementation(const std::vector<CaptureRoot>& roots, std::vector<CaptureRoot> files,
                   StoreBlock store, const CopyOptions& options)
        : options_(options),
          single_files_(std::move(files)),
          limiter_(options.rate_limit),
          arena_(options.memory_budget),
          tree_(roots, options) {
        context_.store = std::move(store);
        context_.block_size = options.block_size;
        raise_file_limit();
        tree_.drain();
    }

    Pass pass(const PassListener& listener) {
        const Remainder work = remainder();
        const std::uint64_t read_before = context_.read_bytes;
        Pass pass;
        pass.files = copy_dirty(listener, work.memory_bytes + work.tail_bytes);
        pass.bytes = context_.read_bytes - read_before;
        pass.remainder = remainder();
        arena_.prefault(2 * pass.remainder.memory_bytes + arena_slack);
        captured_.reserve(2 * pass.remainder.files + single_files_.size() + 64);
        return pass;
    }

    Remainder remainder() {
        expect(State::copying);
        settle();
        Remainder sum;
        {
            WatchedTree::Walk walk(tree_);
            for (const NodeFilePtr& file : tree_.dirty_files()) {
                walk.step();
                const CopyTask task = WatchedTree::task_for(*file);
                if (const auto status = status_of(task.path)) {
                    add(sum, remainder_of(task, *status));
                }
            }
        }
        tree_.drain();
        for (const CaptureRoot& file : single_files_) {
            const auto path = resolve(file.path.string());
            if (const auto status = path ? status_of(*path) : std::nullopt) {
                add(sum, {1, status->size, 0});
            }
        }
        return sum;
    }

    std::optional<std::string> combine_in_flight() {
        expect(State::copying);
        tree_.drain();
        return tree_.combine_in_flight();
    }

    void watch() {
        // What happens after the cut is not to be known before it is certain that the cut counts.
        if (state_ == State::copying) {
            tree_.drain();
        }
    }

    Cut cut(Clock::time_point deadline) {
        expect(State::copying);
        arena_.reset();
        Cut cut = capture(tree_, single_files_, arena_,
                          {options_.memory_budget, options_.file_budget, deadline}, captured_);
        if (cut.outcome == Cut::Outcome::captured) {
            state_ = State::captured;
        }
        return cut;
    }

    void forget_cut() {
        expect(State::captured);
        captured_.clear();
        state_ = State::copying;
    }

    void finish(const PassListener& listener) {
        expect(State::captured);
        std::uint64_t total = 0;
        for (const CapturedFile& file : captured_) {
            total += file.memory_bytes() + file.tail_bytes();
        }
        std::size_t next = 0;
        const auto next_job = [&]() -> std::optional<Readers::Job> {
            if (next == captured_.size()) {
                return {};
            }
            const CapturedFile& file = captured_[next];
            return Readers::Job{
                next++, [&](std::span<char> buffer) { return store_captured(file, buffer); }};
        };
        const auto take = [&](Readers::Result result) {
            CapturedFile& file = captured_[result.id];
            file.descriptor = {};
            if (file.file) {
                file.file->copy = std::move(result.copy);
            } else {
                single_entries_.push_back(
                    file_entry(file.single->name, file.single->path.string(), *result.copy));
            }
        };
        conduct(next_job, take, listener, total);
        captured_.clear();
        state_ = State::finished;
    }

    std::vector<FileEntry> take_entries() {
        expect(State::finished);
        state_ = State::taken;
        std::vector<FileEntry> entries = std::move(single_entries_);
        add_entries(tree_, entries);
        return entries;
    }

    std::uint64_t unwatched_directories() const { return tree_.unwatched_directories(); }

private:
    using NextJob = std::function<std::optional<Readers::Job>()>;
    enum class State { copying, captured, finished, taken };

    void expect(State state) const {
        if (state_ != state) {
            throw Error(ErrorCode::failed, "the copy of the node's files was used out of order",
                        "Report this: it is a mistake in rabbitmq-hot-backup.");
        }
    }

    void settle() {
        tree_.drain();
        if (tree_.events_lost()) {
            tree_.rescan();
            tree_.drain();
        }
        {
            const WatchedTree::Walk walk(tree_);
            tree_.compare_unreported(Clock::time_point::max());
            tree_.refresh_directories();
        }
        tree_.drain();
    }

    // Copies the files that are dirty now; what becomes dirty meanwhile is for the next pass.
    std::uint64_t copy_dirty(const PassListener& listener, std::uint64_t total) {
        const std::uint64_t until = tree_.last_mark();
        std::size_t jobs = 0;
        std::uint64_t files = 0;
        std::unordered_map<std::size_t, NodeFilePtr> in_flight;
        const auto next_job = [&]() -> std::optional<Readers::Job> {
            const NodeFilePtr file = tree_.take_dirty(until);
            if (!file) {
                return {};
            }
            in_flight.emplace(++jobs, file);
            return Readers::Job{
                jobs, [this, task = WatchedTree::task_for(*file)](std::span<char> buffer) {
                    return copy_file(context_, limiter_, task, buffer);
                }};
        };
        const auto take = [&](Readers::Result result) {
            const auto done = in_flight.extract(result.id);
            const NodeFilePtr& file = done.mapped();
            if (result.copy) {
                if (result.copy->status.names > 1) {
                    tree_.note_names(result.copy->status);
                }
                file->copy = std::move(result.copy);
                ++files;
            } else {
                tree_.mark(file);
            }
        };
        try {
            conduct(next_job, take, listener, total);
        } catch (...) {
            for (const auto& [id, file] : in_flight) {
                tree_.mark(file);
            }
            throw;
        }
        return files;
    }

    FileCopyPtr store_captured(const CapturedFile& file, std::span<char> buffer) {
        FileCopyPtr copy = store_contents(
            context_, file.status, file.plan, file.task.before,
            [&](std::uint64_t offset, std::size_t size) {
                const auto held = file.in_memory(offset, size);
                return held.empty() ? read_limited(context_, limiter_, file.descriptor,
                                                   file.task.path, offset, buffer.first(size))
                                    : held;
            });
        if (!copy) {
            throw Error(ErrorCode::failed,
                        "the file " + file.task.path +
                            " became shorter after the cut, although it should only grow",
                        "Make the backup again; report this if it happens again.");
        }
        return copy;
    }

    // Has all jobs done, and takes note of reports meanwhile.
    void conduct(const NextJob& next_job, const std::function<void(Readers::Result)>& take,
                 const PassListener& listener, std::uint64_t total) {
        Readers readers(options_.threads, options_.niceness, options_.block_size);
        const std::uint64_t read_before = context_.read_bytes;
        const auto report = [&] {
            const std::uint64_t done = context_.read_bytes - read_before;
            listener({done, std::max(done, total)});
        };
        // What the listener or a thread throws ends the other threads' work, too.
        const EndWork end_work{context_.ended};
        auto next_report = Clock::now() + listener_interval;
        for (std::size_t running = submit(readers, next_job); running > 0;
             running += submit(readers, next_job)) {
            wait(readers);
            for (Readers::Result& result : readers.collect()) {
                take(std::move(result));
                --running;
            }
            watch();
            if (Clock::now() >= next_report) {
                report();
                next_report = Clock::now() + listener_interval;
            }
        }
        report();
    }

    static std::size_t submit(Readers& readers, const NextJob& next_job) {
        std::size_t submitted = 0;
        for (; readers.has_room(); ++submitted) {
            auto job = next_job();
            if (!job) {
                break;
            }
            readers.submit(std::move(*job));
        }
        return submitted;
    }

    static void wait(const Readers& readers) {
        pollfd descriptor{readers.descriptor(), POLLIN, 0};
        // A signal or a time without news is as good as news.
        ::poll(&descriptor, 1, static_cast<int>(drain_interval.count()));
    }

    const CopyOptions options_;
    const std::vector<CaptureRoot> single_files_;
    RateLimiter limiter_;
    Arena arena_;
    WatchedTree tree_;
    CopyContext context_;
    State state_ = State::copying;
    std::vector<CapturedFile> captured_;
    std::vector<FileEntry> single_entries_;
};

LiveCopy::LiveCopy(std::vector<CaptureRoot> roots, std::vector<CaptureRoot> files, StoreBlock store,
                   CopyOptions options)
    : implementation_(
          std::make_unique<Implementation>(roots, std::move(files), std::move(store), options)) {}

LiveCopy::~LiveCopy() = default;

Pass LiveCopy::pass(const PassListener& listener) {
    return implementation_->pass(listener);
}

Remainder LiveCopy::remainder() {
    return implementation_->remainder();
}

std::optional<std::string> LiveCopy::combine_in_flight() {
    return implementation_->combine_in_flight();
}

void LiveCopy::watch() {
    implementation_->watch();
}

Cut LiveCopy::cut(Clock::time_point deadline) {
    return implementation_->cut(deadline);
}

void LiveCopy::forget_cut() {
    implementation_->forget_cut();
}

void LiveCopy::finish(const PassListener& listener) {
    implementation_->finish(listener);
}

std::vector<FileEntry> LiveCopy::take_entries() {
    return implementation_->take_entries();
}

std::uint64_t LiveCopy::unwatched_directories() const {
    return implementation_->unwatched_directories();
}

}  // namespace hot_backup
