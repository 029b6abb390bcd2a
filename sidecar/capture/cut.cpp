#include "sidecar/capture/cut.hpp"

#include <unistd.h>
#include <algorithm>
#include <cerrno>

namespace hot_backup {
namespace {

constexpr std::uint64_t read_size = std::uint64_t{1} << 20;
// Below this a hole is as soon read as found.
constexpr std::uint64_t sparse_size = std::uint64_t{64} << 10;

// Ends a cut that captures nothing.
struct Failed {
    Cut::Outcome outcome;
    std::string reason;
};

std::string mebibytes(std::uint64_t bytes) {
    return std::to_string((bytes + (1 << 20) - 1) >> 20) + " MiB";
}

class Capture {
public:
    Capture(WatchedTree& tree, const CutLimits& limits, std::vector<CapturedFile>& captured)
        : tree_(tree), limits_(limits), captured_(captured) {}

    // All that was reported is known after this, since nobody changes anything now.
    void settle() {
        tree_.drain();
        if (tree_.events_lost()) {
            throw Failed{Cut::Outcome::events_lost,
                         "the kernel reported more changes than its queue holds"};
        }
        if (!tree_.compare_unreported(limits_.deadline)) {
            throw_late("what nobody reports was compared");
        }
        if (const auto path = tree_.combine_in_flight()) {
            throw Failed{Cut::Outcome::combine_in_flight,
                         "the message store is combining files: " + *path};
        }
        tree_.refresh_directories();
    }

    // Decides what is read now and what later, and keeps the files open.
    void open(const std::vector<CaptureRoot>& single_files) {
        const std::vector<NodeFilePtr> dirty = tree_.dirty_files();
        const std::uint64_t files = dirty.size() + single_files.size();
        if (files > limits_.files) {
            throw Failed{Cut::Outcome::over_budget,
                         std::to_string(files) + " files changed since the last pass, more than " +
                             std::to_string(limits_.files)};
        }
        captured_.reserve(files);
        for (const NodeFilePtr& file : dirty) {
            if (!open_one(file, WatchedTree::task_for(*file))) {
                tree_.forget(file);
            }
        }
        for (const CaptureRoot& file : single_files) {
            open_single(file);
        }
    }

    void check_memory() const {
        std::uint64_t bytes = 0;
        for (const CapturedFile& file : captured_) {
            bytes += file.memory_bytes();
        }
        if (bytes > limits_.memory_bytes) {
            const auto& largest = *std::max_element(
                captured_.begin(), captured_.end(), [](const auto& left, const auto& right) {
                    return left.memory_bytes() < right.memory_bytes();
                });
            throw Failed{Cut::Outcome::over_budget,
                         mebibytes(bytes) + " changed since the last pass, more than " +
                             mebibytes(limits_.memory_bytes) + "; most of one file: " +
                             mebibytes(largest.memory_bytes()) + " of " + largest.task.path};
        }
    }

    void read(Arena& arena) {
        for (CapturedFile& file : captured_) {
            file.memory = arena.take(file.memory_bytes());
            const std::uint64_t from = file.plan.only_grows ? 0 : file.plan.from;
            if (from == 0 && file.status.allocated < file.status.size &&
                file.memory.size() > sparse_size) {
                read_sparse(file);
            } else {
                read_part(file, from, file.memory);
            }
            if (file.tail_bytes() == 0) {
                file.descriptor = {};
            }
        }
    }

private:
    // False when there is no such file.
    bool open_one(const NodeFilePtr& file, CopyTask task) {
        throw_if_late();
        int error = 0;
        Descriptor descriptor = open_regular_file(task.path, error);
        if (error == EMFILE || error == ENFILE) {
            throw Failed{Cut::Outcome::over_budget,
                         "no more than " + std::to_string(captured_.size()) +
                             " files can be opened at once: raise the limit of open files "
                             "(LimitNOFILE)"};
        }
        if (error != 0) {
            throw_read_error("open", task.path, error);
        }
        if (!descriptor) {
            return false;
        }
        CapturedFile captured;
        captured.status = status_of(descriptor, task.path);
        if (captured.status.kind != NodeFileKind::file) {
            return false;
        }
        if (file && captured.status.names > 1 && !tree_.note_names(captured.status)) {
            throw Failed{Cut::Outcome::events_lost,
                         task.path + " has got another name since the last pass"};
        }
        captured.plan = plan_read(descriptor, captured.status, task);
        captured.file = file;
        captured.task = std::move(task);
        captured.descriptor = std::move(descriptor);
        captured_.push_back(std::move(captured));
        return true;
    }

    // These may be symbolic links: what they lead to counts.
    void open_single(const CaptureRoot& file) {
        const auto path = resolve(file.path.string());
        if (path && !open_one(nullptr, {*path, CopyRule::in_place, false, nullptr})) {
            throw Error(ErrorCode::failed,
                        "cannot back up " + file.path.string() + ": it is not a file",
                        "RabbitMQ has a file at this place: move what is there away.");
        }
        if (path) {
            captured_.back().single = &file;
        }
    }

    void read_part(const CapturedFile& file, std::uint64_t offset, std::span<char> memory) {
        while (!memory.empty()) {
            throw_if_late();
            const std::span<char> part = memory.first(std::min(memory.size(), read_size));
            if (read_at(file.descriptor, file.task.path, offset, part) < part.size()) {
                throw Failed{Cut::Outcome::events_lost,
                             file.task.path + " became shorter while it was read"};
            }
            memory = memory.subspan(part.size());
            offset += part.size();
        }
    }

    // From the first byte on, without a look at holes.
    void read_sparse(const CapturedFile& file) {
        const std::uint64_t size = file.memory.size();
        for (std::uint64_t at = 0; at < size;) {
            throw_if_late();
            const std::uint64_t data = std::min(seek(file, at, SEEK_DATA, size), size);
            std::fill_n(file.memory.begin() + static_cast<std::ptrdiff_t>(at), data - at, '\0');
            const std::uint64_t hole = std::min(seek(file, data, SEEK_HOLE, size), size);
            read_part(file, data, file.memory.subspan(data, hole - data));
            at = hole;
        }
    }

    static std::uint64_t seek(const CapturedFile& file, std::uint64_t offset, int whence,
                              std::uint64_t end) {
        if (offset >= end) {
            return end;
        }
        const off_t found = ::lseek(file.descriptor.number(), static_cast<off_t>(offset), whence);
        if (found < 0 && errno != ENXIO) {
            throw_read_error("look for holes in", file.task.path, errno);
        }
        return found < 0 ? end : static_cast<std::uint64_t>(found);
    }

    void throw_if_late() const {
        if (LiveCopy::Clock::now() > limits_.deadline) {
            throw_late(std::to_string(captured_.size()) + " files were looked at");
        }
    }
    [[noreturn]] static void throw_late(const std::string& done) {
        throw Failed{Cut::Outcome::late, "the time for it was over while " + done};
    }

    WatchedTree& tree_;
    const CutLimits& limits_;
    std::vector<CapturedFile>& captured_;
};

}  // namespace

std::string_view CapturedFile::in_memory(std::uint64_t offset, std::size_t size) const {
    const std::uint64_t memory_from = plan.only_grows ? 0 : plan.from;
    if (offset < memory_from || offset >= memory_from + memory.size()) {
        return {};
    }
    return std::string_view(memory.data(), memory.size()).substr(offset - memory_from, size);
}

Cut capture(WatchedTree& tree, const std::vector<CaptureRoot>& single_files, Arena& arena,
            const CutLimits& limits, std::vector<CapturedFile>& captured) {
    Cut cut;
    try {
        Capture capture(tree, limits, captured);
        capture.settle();
        capture.open(single_files);
        capture.check_memory();
        capture.read(arena);
    } catch (const Failed& failed) {
        cut.outcome = failed.outcome;
        cut.reason = failed.reason;
        captured.clear();
    } catch (...) {
        captured.clear();
        throw;
    }
    for (const CapturedFile& file : captured) {
        ++cut.files;
        cut.memory_bytes += file.memory_bytes();
        cut.tail_bytes += file.tail_bytes();
    }
    return cut;
}

}  // namespace hot_backup
