#include "tests/capture/mutator/control.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace mutator {

namespace {

constexpr std::array<std::string_view, behaviour_count> names{
    "store_append",
    "store_roll",
    "store_combine",
    "store_combine_in_place",
    "store_compact",
    "store_truncate",
    "store_delete",
    "index_append",
    "index_delete",
    "index_recreate",
    "journal_append",
    "journal_truncate",
    "queue_index_update",
    "queue_store_append",
    "queue_segment_delete",
    "queue_create",
    "queue_delete",
    "queue_recreate",
    "queue_rename",
    "queue_move_in",
    "queue_move_out",
    "vhost_create",
    "vhost_delete",
    "vhost_recreate",
    "left_out_change",
    "wal_append",
    "wal_roll",
    "wal_delete",
    "raft_segment_append",
    "raft_segment_create",
    "raft_segment_delete",
    "raft_segment_replace",
    "raft_segment_link",
    "raft_server_create",
    "raft_server_delete",
    "snapshot_write",
    "snapshot_delete",
    "config_replace",
    "dets_update",
    "stream_append",
    "stream_roll",
    "stream_retention",
    "stream_create",
    "stream_delete",
    "mnesia_log_update",
    "mnesia_log_rename",
    "mnesia_table_replace",
    "symlink_create",
    "symlink_replace",
    "symlink_delete",
    "kind_change",
    "empty_directory",
    "mode_change",
    "sparse_write",
    "large_write",
    "tiny_files",
    "rename_chain",
    "outside_replace",
};
static_assert(!names.back().empty(), "each behaviour has a name");

}  // namespace

std::string_view behaviour_name(Behaviour behaviour) {
    return names.at(static_cast<std::size_t>(behaviour));
}

SharedControl::SharedControl(const std::filesystem::path& file) {
    const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    void* memory = MAP_FAILED;
    if (fd >= 0 && ::ftruncate(fd, sizeof(Control)) == 0) {
        memory = ::mmap(nullptr, sizeof(Control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    }
    const int error = errno;
    if (fd >= 0) {
        ::close(fd);
    }
    if (memory == MAP_FAILED) {
        throw std::system_error(error, std::generic_category(), "cannot map " + file.string());
    }
    // Zero bytes are a Control whose counters are zero.
    control_ = static_cast<Control*>(memory);
}

SharedControl::~SharedControl() {
    ::munmap(control_, sizeof(Control));
}

}  // namespace mutator
