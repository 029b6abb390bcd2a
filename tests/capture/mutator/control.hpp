// What the mutator and the test that drives it share while both run: how fast it goes, and what it
// has done. A file that both map into memory, because a stopped process answers no questions.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string_view>

namespace mutator {

// What RabbitMQ does to its files, and what else may happen in a directory of its node.
enum class Behaviour : std::uint8_t {
    store_append,
    store_roll,
    store_combine,
    store_combine_in_place,
    store_compact,
    store_truncate,
    store_delete,
    index_append,
    index_delete,
    index_recreate,
    journal_append,
    journal_truncate,
    queue_index_update,
    queue_store_append,
    queue_segment_delete,
    queue_create,
    queue_delete,
    queue_recreate,
    queue_rename,
    queue_move_in,
    queue_move_out,
    vhost_create,
    vhost_delete,
    vhost_recreate,
    left_out_change,
    wal_append,
    wal_roll,
    wal_delete,
    raft_segment_append,
    raft_segment_create,
    raft_segment_delete,
    raft_segment_replace,
    raft_segment_link,
    raft_server_create,
    raft_server_delete,
    snapshot_write,
    snapshot_delete,
    config_replace,
    dets_update,
    stream_append,
    stream_roll,
    stream_retention,
    stream_create,
    stream_delete,
    mnesia_log_update,
    mnesia_log_rename,
    mnesia_table_replace,
    symlink_create,
    symlink_replace,
    symlink_delete,
    kind_change,
    empty_directory,
    mode_change,
    sparse_write,
    large_write,
    tiny_files,
    rename_chain,
    outside_replace,
    count,
};

inline constexpr std::size_t behaviour_count = static_cast<std::size_t>(Behaviour::count);

std::string_view behaviour_name(Behaviour behaviour);

using BehaviourCounts = std::array<std::uint64_t, behaviour_count>;

// `pause` of a Control: the mutator does nothing.
inline constexpr std::uint32_t idle = UINT32_MAX;

struct Control {
    std::array<std::atomic<std::uint64_t>, behaviour_count> counts;
    std::atomic<std::uint64_t> mutations;  // all of them
    std::atomic<std::uint32_t> pause;      // microseconds from a mutation to the next of its thread
    std::atomic<std::uint32_t> ready;      // 1: the first tree stands
};

static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

// A Control in a file, shared by all processes that map it.
class SharedControl {
public:
    // Makes the file, with all zero, where it does not exist.
    explicit SharedControl(const std::filesystem::path& file);
    SharedControl(const SharedControl&) = delete;
    SharedControl& operator=(const SharedControl&) = delete;
    ~SharedControl();

    Control& operator*() const noexcept { return *control_; }
    Control* operator->() const noexcept { return control_; }

private:
    Control* control_;
};

}  // namespace mutator
