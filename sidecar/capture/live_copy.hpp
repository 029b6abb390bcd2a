// A copy of the files of a live node that converges, and is made exact by one cut.
//
//     LiveCopy copy(roots, files, store, options);
//     do { progress = copy.pass(listener); } while (...);   // the node runs
//     cut = copy.cut(deadline);                              // nothing of the node runs
//     copy.finish(listener);                                 // the node runs again
//     for (auto& entry : copy.entries()) ...
//
// The directories are watched with inotify before they are listed, so every change after the first
// look is known. A pass copies what is new or was changed since it was copied. The cut reads the
// rest: of files that only grow it takes the length and keeps them open, and finish() reads their
// tails; all others it reads into memory. The rules are those of file_rules.hpp.
//
// The image is exact if and only if the node did not run from before cut() began until after it
// returned `captured`: docs/consistency.md.
//
// Where the kernel gives no watch (fs.inotify.max_user_watches, max_user_instances), the
// directories without one are compared by the status of their files before each pass and in the cut
// instead.
//
// One thread, the conducting one, uses a LiveCopy. Reading is done by threads of its own, which end
// before pass() and finish() return. Memory: a block for each of those threads, what the largest
// cut reads (at most `memory_budget`), and some 700 bytes for each file.
#pragma once

#include "sidecar/repository/manifest.hpp"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hot_backup {

// A directory of the node, and its place in the image: {"data",
// "/var/lib/rabbitmq/mnesia/rabbit@a"}.
struct CaptureRoot {
    std::string name;
    std::filesystem::path path;
};

// Stores a block of content (1 byte to 4 MiB) and says where. Called from several threads at once.
using StoreBlock = std::function<Extent(std::string_view bytes)>;

struct CopyOptions {
    unsigned threads = 2;          // that read and hash
    std::uint64_t rate_limit = 0;  // bytes a second that are read, but for cuts; 0: no limit
    std::uint64_t memory_budget = std::uint64_t{64} << 20;  // bytes that a cut may read into memory
    // Files that a cut may take. Deadline, memory and the limit of open files are what a cut comes
    // up against; this bounds its bookkeeping, some 500 bytes a file, where all those are generous.
    // Thousands are usual: each queue with load has one or two.
    std::uint64_t file_budget = 50'000;
    std::size_t block_size = std::size_t{4} << 20;
    bool use_inotify = true;
    std::uint64_t watch_limit = UINT64_MAX;  // of inotify, besides the kernel's own
    unsigned niceness = 10;  // of the threads that read; they also get the lowest best-effort I/O
                             // priority
    // Called at this interval on the conducting thread while directories are walked through: that
    // takes minutes where there are many and the disk is slow. What it throws ends the walk. Of the
    // LiveCopy it may call watch() only. Never called by cut().
    std::function<void()> look_up;
    std::chrono::milliseconds look_up_interval{100};
};

// What a cut would have to take now.
struct Remainder {
    std::uint64_t files = 0;
    std::uint64_t memory_bytes = 0;  // to be read within the stop
    std::uint64_t tail_bytes = 0;    // to be read after it
};

struct PassProgress {
    std::uint64_t done = 0;   // bytes
    std::uint64_t total = 0;  // an estimate
};
// Called ten times a second or so on the conducting thread, while its threads read. What it throws
// ends the pass.
using PassListener = std::function<void(const PassProgress& progress)>;

struct Pass {
    std::uint64_t files = 0;
    std::uint64_t bytes = 0;
    Remainder remainder;
};

struct Cut {
    enum class Outcome {
        captured,
        combine_in_flight,  // the message store is combining files: try again in some milliseconds
        over_budget,        // too much was written since the last pass: pass again
        events_lost,        // the kernel's queue of events ran over: pass again
        late,               // `deadline` came first: pass again
    };
    Outcome outcome = Outcome::captured;
    std::string reason;  // for people, when it is not captured: which file or how much
    std::uint64_t files = 0;
    std::uint64_t memory_bytes = 0;
    std::uint64_t tail_bytes = 0;
};

class LiveCopy {
public:
    using Clock = std::chrono::steady_clock;

    // Watches and lists everything. Directories and files that are of no kind that an image can
    // have (a socket, a device) are an Error (failed) that names them, and so are a name that is
    // not UTF-8 and a symbolic link that leads out of all roots: nothing is skipped in silence.
    // Roots that do not exist are left out; a root within another one is a part of that. `files`
    // are single files outside of the roots; each cut reads them whole.
    LiveCopy(std::vector<CaptureRoot> roots, std::vector<CaptureRoot> files, StoreBlock store,
             CopyOptions options = {});
    ~LiveCopy();
    LiveCopy(const LiveCopy&) = delete;
    LiveCopy& operator=(const LiveCopy&) = delete;

    // Copies what changed. Throws Error when a file cannot be read or stored.
    Pass pass(const PassListener& listener);
    // What a cut would have to take now, by the size of the files: right after the construction
    // everything, so that memory_bytes + tail_bytes is about the size of the node's files.
    Remainder remainder();
    // A file that keeps a cut from being made, as far as the kernel reported; nothing when there is
    // none. With this nobody needs to stop the node to find that out. Cheap.
    std::optional<std::string> combine_in_flight();
    // Takes note of what the kernel reports, so that its queue does not run over. Cheap; to be
    // called while somebody else is waited for.
    void watch();

    // Captures the rest; to be called while the node does nothing. Never waits, allocates no
    // memory beyond what it has but for bookkeeping. Unless it captured everything nothing is kept,
    // and passes go on. Throws Error where no repetition would help.
    Cut cut(Clock::time_point deadline);
    // Forgets what a cut captured, since the node did run meanwhile: passes go on, and what the cut
    // read counts as changed.
    void forget_cut();
    // Stores what the cut captured, and reads the tails. Afterwards entries() are the image.
    void finish(const PassListener& listener);

    // The files, directories and symbolic links of the image, in no order, with `origin`. Once,
    // after finish().
    std::vector<FileEntry> take_entries();

    // How many directories the kernel gives no watch for.
    std::uint64_t unwatched_directories() const;

private:
    class Implementation;
    std::unique_ptr<Implementation> implementation_;
};

}  // namespace hot_backup
