// Plays Ra, the Raft library of quorum queues: write-ahead log, segments, snapshots, its tables.
#pragma once

#include "tests/capture/mutator/disk.hpp"

#include <deque>
#include <memory>
#include <string>
#include <vector>

namespace mutator {

// The directory of one quorum queue's member.
class RaftServer {
public:
    // Makes the directory.
    RaftServer(const Scene& scene, Path directory);

    void step();
    // What the segment writer does when a WAL was rolled.
    void append_to_segment();
    const Path& directory() const noexcept { return directory_; }

private:
    // Bodies are appended, then their records in the index at the front are filled in.
    class Segment {
    public:
        Segment(const Scene& scene, const Path& path);
        bool full() const noexcept { return records_ == max_count; }
        void append(const Scene& scene);

    private:
        static constexpr std::uint64_t max_count = 16;

        OpenFile file_;
        std::uint64_t records_ = 0;
    };

    Path segment(std::uint64_t number) const;
    void begin_segment();
    void replace_segment();
    void remove_segments();
    void write_snapshot();

    Scene scene_;
    Path directory_;
    std::deque<std::uint64_t> closed_;
    std::deque<Path> links_;
    std::deque<Path> snapshots_;
    std::uint64_t number_ = 0;
    std::unique_ptr<Segment> current_;
};

// The directory of a Ra system, "quorum/rabbit@a".
class RaftSystem {
public:
    RaftSystem(const Scene& scene, Path directory);

    void step();

private:
    Path wal(std::uint64_t number) const;
    void roll_wal();
    void change_servers();
    void update_table();

    Scene scene_;
    Path directory_;
    std::vector<std::unique_ptr<RaftServer>> servers_;
    std::uint64_t next_server_ = 0;
    std::deque<std::uint64_t> closed_wals_;
    std::uint64_t wal_number_ = 1;
    OpenFile wal_;
};

}  // namespace mutator
