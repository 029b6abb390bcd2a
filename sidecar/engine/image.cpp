#include "sidecar/engine/image.hpp"

#include "sidecar/engine/prompt_wakeup.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <limits>

namespace hot_backup {
namespace {

using namespace std::chrono_literals;

// Little enough for a stop of a millisecond or so: reading this much takes less than the VM takes
// to stop.
constexpr std::uint64_t little_memory = 2'000'000;
constexpr std::uint64_t few_files = 200;
// What is read right after the stop, while the checkpoint is held.
constexpr std::uint64_t short_tails = std::uint64_t{64} << 20;
// A node that writes as fast as it is copied never comes to that. Then the stop takes what there
// is, as long as reading it costs some milliseconds at the most.
constexpr std::uint64_t affordable_memory = std::uint64_t{16} << 20;
constexpr std::uint64_t affordable_tails = std::uint64_t{256} << 20;
constexpr double progress_made = 0.7;
constexpr std::uint64_t most_passes = 12;
// So often the backup looks for a moment in which nobody changes metadata. Then writers have to
// wait for it.
constexpr std::uint64_t polite_attempts = 4;
// How long what is done before a stop serves the next attempts, too.
constexpr std::chrono::seconds prepared_for{3};

// Why a stop was of no use, and how often that may be before the backup gives up. A stop that is
// given up by ourselves costs the node a millisecond, one that is late costs it `max_pause`.
struct Miss {
    enum Kind : std::size_t { committed, combining, moved_on, late, apart, kinds };
    static constexpr std::array<std::uint64_t, kinds> most{20, 100, 10, 6, 20};
};

bool is_little(const Remainder& left) {
    return left.files <= few_files && left.memory_bytes <= little_memory &&
           left.tail_bytes <= short_tails;
}

bool is_affordable(const Remainder& left) {
    return left.memory_bytes <= affordable_memory && left.tail_bytes <= affordable_tails;
}

// A commit is in the log a moment before Mnesia counts it, and the plugin sees the count only.
bool has_changed(const MetadataLog& log) {
    struct stat status {};
    return !log.path.empty() &&
           (::stat(log.path.c_str(), &status) != 0 || status.st_ino != log.inode ||
            static_cast<std::uint64_t>(status.st_size) != log.size);
}

// One backup's way to its image.
class Taker {
public:
    Taker(Broker& broker, LiveCopy& copy, std::chrono::milliseconds max_pause,
          const ImageCalls& calls, MakingLog& log)
        : broker_(broker), copy_(copy), max_pause_(max_pause), calls_(calls), log_(log) {
        image_.cut.attempts = 0;
    }

    Image take() {
        converge();
        for (;;) {
            prepare_stop();
            image_.checkpoint = broker_.begin_checkpoint(wait_until_ready());
            if (!is_little(copy_.remainder())) {
                pass();  // Mnesia took its time.
            }
            if (const auto miss = stop_while_checkpoint_holds()) {
                broker_.end_checkpoint();
                recover(*miss);
            } else {
                break;
            }
        }
        copy_.finish([this](const PassProgress& progress) { report("tails", progress); });
        return image_;
    }

private:
    // What may take a while: it must not come between the checkpoint and the stop.
    void prepare_stop() {
        if (prepared_ && LiveCopy::Clock::now() - *prepared_ < prepared_for) {
            return;
        }
        const bool was_little = is_little(copy_.remainder());
        if (calls_.before_stop) {
            calls_.before_stop();
        }
        prepared_ = LiveCopy::Clock::now();
        if (was_little && !is_little(copy_.remainder())) {
            pass();
        }
    }

    // Returns whether writers of metadata have to wait for the stop.
    bool wait_until_ready() {
        if (!calls_.ready) {
            return misses_.at(Miss::committed) >= polite_attempts;
        }
        for (;;) {
            const auto left = copy_.remainder();
            const auto answer = calls_.ready(left);
            if (answer.go) {
                return answer.lock;
            }
            if (!is_little(copy_.remainder())) {
                pass();
            }
        }
    }

    // Copies until a stop would be short, and soon over.
    void converge() {
        auto before = std::numeric_limits<std::uint64_t>::max();
        Remainder left;
        for (std::uint64_t round = 1; round <= most_passes; ++round) {
            left = pass().remainder;
            if (is_little(left)) {
                return;
            }
            const auto work = left.memory_bytes + left.tail_bytes;
            const bool stuck =
                static_cast<double>(work) > progress_made * static_cast<double>(before);
            if (round > 1 && stuck && is_affordable(left)) {
                return;
            }
            before = work;
        }
        if (left.tail_bytes > affordable_tails) {
            cut_.reason = std::to_string(left.tail_bytes >> 20) + " MiB were new";
            give_up(Miss::moved_on, {});
        }
    }

    Pass pass() {
        const auto begin = MakingLog::Clock::now();
        const auto phase = "copy " + std::to_string(++image_.cut.passes);
        const auto passed =
            copy_.pass([&](const PassProgress& progress) { report(phase, progress); });
        log_.passed(image_.cut.passes, passed, begin);
        return passed;
    }

    // Only what moves is told: the plugin takes silence for a disk that stands still, and ends the
    // session when that lasts.
    void report(const std::string& phase, const PassProgress& progress) {
        broker_.look_up();
        if (phase != phase_ || progress.done != done_) {
            phase_ = phase;
            done_ = progress.done;
            calls_.listener(phase, progress.done, progress.total);
        }
    }

    // Stops the node, again where the message store was just combining files: that passes in
    // milliseconds, and is mostly known before. The nodes of a cluster agree upon each stop anew.
    // Nothing when the image is taken.
    std::optional<Miss::Kind> stop_while_checkpoint_holds() {
        for (;;) {
            if (const auto file = copy_.combine_in_flight()) {
                cut_.reason = *file;
                count(Miss::combining, {});
                wait_for_combine();
                continue;
            }
            const auto stop = stop_once();
            if (stop.outcome == Stop::Outcome::held) {
                image_.instant = stop.instant;
                image_.checkpoint.activation_us =
                    stop.store_us.value_or(image_.checkpoint.activation_us);
                image_.cut.acquisition_us = stop.acquisition_us;
                image_.cut.hold_us = stop.hold_us;
                image_.cut.pause_us = stop.pause_us;
                image_.cut.files = cut_.files;
                image_.cut.memory_bytes = cut_.memory_bytes;
                image_.cut.tail_bytes = cut_.tail_bytes;
                log_.checkpoint(image_.checkpoint);
                log_.stopped(image_.cut);
                return std::nullopt;
            }
            if (cut_.outcome == Cut::Outcome::captured) {
                copy_.forget_cut();
            }
            const auto miss = miss_of(stop);
            count(miss, stop);
            if (miss != Miss::combining || calls_.ready) {
                return miss;
            }
            wait_for_combine();
        }
    }

    void wait_for_combine() {
        broker_.wait(std::chrono::milliseconds(
            std::min<std::uint64_t>(50, 3 + misses_.at(Miss::combining))));
    }

    Stop stop_once() {
        ++image_.cut.attempts;
        cut_ = Cut{};
        cut_.outcome = Cut::Outcome::late;
        committed_ = false;
        const PromptWakeup prompt;
        return broker_.stop(max_pause_, [this] {
            cut_ = copy_.cut(LiveCopy::Clock::now() + max_pause_);
            committed_ = has_changed(image_.checkpoint.log);
            return cut_.outcome == Cut::Outcome::captured && !committed_;
        });
    }

    Miss::Kind miss_of(const Stop& stop) const {
        switch (stop.outcome) {
            case Stop::Outcome::committed:
                return Miss::committed;
            case Stop::Outcome::late:
                return Miss::late;
            default:
                break;
        }
        if (committed_) {
            return Miss::committed;
        }
        switch (cut_.outcome) {
            case Cut::Outcome::combine_in_flight:
                return Miss::combining;
            case Cut::Outcome::captured:
                return Miss::apart;
            case Cut::Outcome::late:
                return stop.outcome == Stop::Outcome::apart ? Miss::apart : Miss::late;
            default:
                return Miss::moved_on;
        }
    }

    void count(Miss::Kind miss, const Stop& stop) {
        log_.missed(reason_of(miss));
        if (++misses_.at(miss) >= Miss::most.at(miss)) {
            give_up(miss, stop);
        }
    }

    std::string reason_of(Miss::Kind miss) const {
        switch (miss) {
            case Miss::committed:
                return "metadata was changed around it";
            case Miss::combining:
                return "the message store is combining its files";
            case Miss::late:
                return "it was not done within max_pause";
            case Miss::apart:
                return "the nodes of the cluster did not stand still together";
            default:
                return "too much was new: " + cut_.reason;
        }
    }

    // What has to change before the next stop can be better, and a while for the node to recover.
    void recover(Miss::Kind miss) {
        if (miss == Miss::committed) {
            // The window between checkpoint and stop is a few milliseconds: what counts is to find
            // one without a commit.
            broker_.wait(std::chrono::milliseconds(1 + 2 * misses_.at(miss)));
            if (misses_.at(miss) % 5 == 0) {
                pass();
            }
            return;
        }
        if (miss != Miss::apart) {
            broker_.wait(50ms * (1 << std::min<std::uint64_t>(misses_.at(miss), 5)));
        }
        converge();
    }

    [[noreturn]] void give_up(Miss::Kind miss, const Stop& stop) const {
        const auto tries = std::to_string(misses_.at(miss));
        switch (miss) {
            case Miss::committed:
                throw Error(
                    ErrorCode::failed,
                    "metadata was changed around each of " + tries + " stops of the node",
                    "Look for what changes metadata all the time (a plugin that writes to a "
                    "durable "
                    "table of Mnesia, for one), and make the backup when it does less of that.");
            case Miss::combining:
                throw Error(ErrorCode::failed,
                            "the message store was combining its files each of " + tries +
                                " times that it was looked at" +
                                (cut_.reason.empty() ? "" : ": " + cut_.reason),
                            "Make the backup when fewer messages are consumed.");
            case Miss::late:
                throw Error(
                    ErrorCode::failed,
                    tries + " stops of the node were not done within max_pause, " +
                        std::to_string(max_pause_.count()) + " ms (the last one took " +
                        std::to_string(stop.acquisition_us / 1000) + " ms to stop its schedulers" +
                        (cut_.reason.empty() ? ")" : "; " + cut_.reason + ")"),
                    "Allow a longer pause (--max-pause), or make the backup when the node's disk "
                    "has less to do.");
            case Miss::apart:
                throw Error(ErrorCode::failed,
                            "the nodes of the cluster could not be held still together in " +
                                tries + " stops",
                            "Allow a longer pause (max_pause), or make the backup when the nodes "
                            "have less to do.");
            default:
                throw Error(ErrorCode::failed,
                            "the node writes faster than it can be copied: " + cut_.reason +
                                " after " + std::to_string(image_.cut.passes) + " passes",
                            "Make the backup when less is written, or allow it more speed "
                            "(--rate-limit).");
        }
    }

    Broker& broker_;
    LiveCopy& copy_;
    std::chrono::milliseconds max_pause_;
    const ImageCalls& calls_;
    MakingLog& log_;
    Image image_;
    Cut cut_;
    bool committed_ = false;  // the log has what the checkpoint has not
    std::optional<LiveCopy::Clock::time_point> prepared_;
    std::string phase_;
    std::uint64_t done_ = 0;
    std::array<std::uint64_t, Miss::kinds> misses_{};
};

// While the plugin is waited for, the kernel's queue of events must not run over.
class WatchWhileWaiting {
public:
    WatchWhileWaiting(Broker& broker, LiveCopy& copy) : broker_(broker) {
        broker_.on_wait([&copy] { copy.watch(); });
    }
    ~WatchWhileWaiting() { broker_.on_wait({}); }
    WatchWhileWaiting(const WatchWhileWaiting&) = delete;
    WatchWhileWaiting& operator=(const WatchWhileWaiting&) = delete;

private:
    Broker& broker_;
};

}  // namespace

Image take_image(Broker& broker, LiveCopy& copy, std::chrono::milliseconds max_pause,
                 const ImageCalls& calls, MakingLog& log) {
    const WatchWhileWaiting watching(broker, copy);
    return Taker(broker, copy, max_pause, calls, log).take();
}

}  // namespace hot_backup
