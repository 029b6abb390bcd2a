#include "sidecar/capture/file_copy.hpp"

#include "sidecar/capture/raft_log.hpp"

#include <algorithm>
#include <array>

namespace hot_backup {
namespace {

constexpr std::uint64_t anchor_size = 4096;
// Some entries of a journal; no two journals of a queue begin with the same one.
constexpr std::uint64_t head_size = 64;

// The last bytes of what is copied, as they were stored. Later they tell whether a file that only
// grows still begins with the copy.
class AnchorWindow {
public:
    explicit AnchorWindow(std::string bytes) : bytes_(std::move(bytes)) {}

    void append(std::string_view more) {
        more = more.substr(more.size() - std::min<std::size_t>(more.size(), anchor_size));
        const std::size_t kept = std::min<std::size_t>(bytes_.size(), anchor_size - more.size());
        bytes_.erase(0, bytes_.size() - kept);
        bytes_.append(more);
    }
    Digest digest() const { return checksum(bytes_); }

private:
    std::string bytes_;
};

// Less than `size` bytes where the file ends.
std::string read_string(const Descriptor& file, const std::string& path, std::uint64_t offset,
                        std::uint64_t size) {
    std::string bytes(size, '\0');
    bytes.resize(read_at(file, path, offset, bytes));
    return bytes;
}

// A journal that was truncated may be as long again, and parts of the copy may be older than the
// truncation, others not. Its first bytes are the oldest of the copy.
bool has_same_head(const Descriptor& file, const CopyTask& task) {
    const FileCopy& before = *task.before;
    return before.head_size == 0 ||
           checksum(read_string(file, task.path, 0, before.head_size)) == before.head;
}

// The last bytes of the earlier copy, if the file still begins with it.
std::optional<std::string> earlier_window(const Descriptor& file, const NodeFileStatus& status,
                                          const CopyTask& task) {
    const FileCopyPtr& before = task.before;
    if (!before || !before->extendable || !before->status.same_file(status) ||
        before->size > status.size || !has_same_head(file, task)) {
        return {};
    }
    const std::uint64_t size = std::min(before->size - before->front, anchor_size);
    std::string window = read_string(file, task.path, before->size - size, size);
    return checksum(window) == before->anchor ? std::optional(std::move(window)) : std::nullopt;
}

// What lies behind the last entry is no part of an image: Ra makes a new file when it starts.
void plan_raft_log(const Descriptor& file, const CopyTask& task, bool extends, ReadPlan& plan) {
    plan.only_grows = true;
    if (may_be_allocated_ahead(file, task.path, plan.size)) {
        const std::uint64_t from = extends && task.before->whole_entries ? task.before->size : 0;
        const auto end = raft_log_end(file, task.path, from, plan.size);
        plan.only_grows = plan.whole_entries = end.has_value();
        plan.size = end.value_or(plan.size);
    }
}

// What of the file its rule and its first bytes promise to stay. `extends`: it still begins with
// the earlier copy.
void apply_rule(const Descriptor& file, const CopyTask& task, bool extends, ReadPlan& plan) {
    switch (task.rule) {
        case CopyRule::append_only:
            plan.only_grows = true;
            break;
        case CopyRule::raft_log:
            plan_raft_log(file, task, extends, plan);
            break;
        case CopyRule::raft_segment:
            if (const auto end =
                    raft_index_end(read_string(file, task.path, 0, raft_header_size))) {
                plan.front = std::min(*end, plan.size);
                plan.only_grows = true;
            }
            break;
        case CopyRule::journal:
            plan.extendable = plan.has_head = true;
            break;
        case CopyRule::message_store:
            // Only the highest number grows. Once another file has it, this one may be rewritten at
            // any time, so its last bytes are not to be read after the stop.
            plan.extendable = task.highest;
            break;
        case CopyRule::in_place:
        case CopyRule::combine_in_flight:
        case CopyRule::left_out:
            break;
    }
    plan.extendable = plan.extendable || plan.only_grows;
    plan.from = plan.front;
}

// The extents of an earlier copy by the place of their content. Asked in order of offset.
class EarlierExtents {
public:
    explicit EarlierExtents(const FileCopyPtr& copy) {
        if (copy) {
            extents_ = copy->extents;
        }
    }

    const Extent* at(std::uint64_t offset, std::size_t size) {
        while (next_ < extents_.size() && offset_ < offset) {
            offset_ += extents_[next_].size;
            ++next_;
        }
        const bool found =
            next_ < extents_.size() && offset_ == offset && extents_[next_].size == size;
        return found ? &extents_[next_] : nullptr;
    }

private:
    std::span<const Extent> extents_;
    std::size_t next_ = 0;
    std::uint64_t offset_ = 0;
};

// Stores the parts of one file and collects their extents.
class Storing {
public:
    Storing(CopyContext& context, const FileCopyPtr& before, const Fetch& fetch)
        : context_(context), earlier_(before), fetch_(fetch) {}

    // False when the file ends before `to`.
    bool store(std::uint64_t from, std::uint64_t to, AnchorWindow* window,
               std::vector<Extent>& extents) {
        while (from < to) {
            const auto size =
                static_cast<std::size_t>(std::min<std::uint64_t>(to - from, context_.block_size));
            const std::string_view bytes = fetch_(from, size);
            if (bytes.size() < size || context_.ended) {
                return false;
            }
            context_.read_bytes += size;
            if (from == 0) {
                head_ = bytes.substr(0, head_size);
            }
            extents.push_back(extent_of(from, bytes));
            if (window != nullptr) {
                window->append(bytes);
            }
            from += size;
        }
        return true;
    }
    const std::string& head() const { return head_; }

private:
    Extent extent_of(std::uint64_t offset, std::string_view bytes) {
        const Extent* same = earlier_.at(offset, bytes.size());
        if (same != nullptr && same->digest == checksum(bytes)) {
            return *same;
        }
        return context_.store(bytes);
    }

    CopyContext& context_;
    EarlierExtents earlier_;
    const Fetch& fetch_;
    std::string head_;  // the first bytes of the file, if they were stored
};

}  // namespace

ReadPlan plan_read(const Descriptor& file, const NodeFileStatus& status, const CopyTask& task) {
    ReadPlan plan;
    plan.size = status.size;
    auto window = earlier_window(file, status, task);
    apply_rule(file, task, window.has_value(), plan);
    if (window && plan.extendable && task.before->front == plan.front &&
        task.before->size <= plan.size) {
        plan.from = task.before->size;
        plan.window = std::move(*window);
    }
    return plan;
}

std::shared_ptr<FileCopy> store_contents(CopyContext& context, const NodeFileStatus& status,
                                         const ReadPlan& plan, const FileCopyPtr& before,
                                         const Fetch& fetch) {
    auto copy = std::make_shared<FileCopy>();
    copy->status = status;
    copy->size = plan.size;
    copy->front = plan.front;
    copy->extendable = plan.extendable;
    copy->whole_entries = plan.whole_entries;
    Storing storing(context, before, fetch);
    if (!storing.store(0, plan.front, nullptr, copy->extents)) {
        return nullptr;
    }
    copy->front_extents = copy->extents.size();
    if (plan.from > plan.front) {
        copy->extents.insert(
            copy->extents.end(),
            before->extents.begin() + static_cast<std::ptrdiff_t>(before->front_extents),
            before->extents.end());
    }
    AnchorWindow window(plan.window);
    if (!storing.store(plan.from, plan.size, plan.extendable ? &window : nullptr, copy->extents)) {
        return nullptr;
    }
    copy->anchor = window.digest();
    if (plan.has_head) {
        const bool extends = plan.from > 0;
        copy->head_size = extends ? before->head_size : storing.head().size();
        copy->head = extends ? before->head : checksum(storing.head());
    }
    return copy;
}

std::string_view read_limited(const CopyContext& context, RateLimiter& limiter,
                              const Descriptor& file, const std::string& path, std::uint64_t offset,
                              std::span<char> buffer) {
    std::size_t filled = 0;
    while (filled < buffer.size() && !context.ended) {
        const std::size_t part = limiter.take(buffer.size() - filled);
        const std::size_t count =
            read_at(file, path, offset + filled, buffer.subspan(filled, part));
        filled += count;
        if (count < part) {
            break;
        }
    }
    return {buffer.data(), filled};
}

FileCopyPtr copy_file(CopyContext& context, RateLimiter& limiter, const CopyTask& task,
                      std::span<char> buffer) {
    const std::int64_t read_at_ns = wall_clock_ns();
    const Descriptor file = open_regular_file(task.path);
    if (!file) {
        return nullptr;
    }
    const NodeFileStatus status = status_of(file, task.path);
    if (status.kind != NodeFileKind::file) {
        return nullptr;
    }
    const Fetch fetch = [&](std::uint64_t offset, std::size_t size) {
        return read_limited(context, limiter, file, task.path, offset, buffer.first(size));
    };
    const auto copy =
        store_contents(context, status, plan_read(file, status, task), task.before, fetch);
    if (copy) {
        copy->read_at_ns = read_at_ns;
    }
    return copy;
}

}  // namespace hot_backup
