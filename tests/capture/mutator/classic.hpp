// Plays the classic queues of a node: message stores, queues of both versions, virtual hosts.
#pragma once

#include "tests/capture/mutator/disk.hpp"

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <vector>

namespace mutator {

// The two ways in which RabbitMQ reclaims space in a message store.
enum class Reclaim : std::uint8_t {
    combine,  // 3.x: two files become one, through a temporary .rdt
    compact,  // 4.x: messages are moved within their file, which is truncated later
};

// A directory of .rdq files. Only the highest number is appended to; it is never the target of
// anything else, and numbers only rise.
class MessageStore {
public:
    // Makes the directory.
    MessageStore(const Scene& scene, Path directory, Reclaim reclaim);

    void step();

private:
    Path file(std::uint64_t number) const;
    // Any but the highest; nothing when there is no other.
    std::optional<std::size_t> pick_closed(std::size_t neighbours = 1);
    void append();
    void combine();
    void compact();
    void truncate();
    void remove_one();

    Scene scene_;
    Path directory_;
    Reclaim reclaim_;
    std::vector<std::uint64_t> numbers_{0};
    OpenFile current_;
};

// The directory of one queue.
class ClassicQueue {
public:
    // Makes the directory.
    ClassicQueue(const Scene& scene, Path directory, int version);

    void step();
    const Path& directory() const noexcept { return directory_; }
    // The directory was renamed.
    void moved_to(Path directory) { directory_ = std::move(directory); }

private:
    Path segment(std::uint64_t number, const char* extension) const;
    void flush_journal();
    void remove_index();
    void write_index_entries();
    void append_to_store();
    void remove_segment();

    Scene scene_;
    Path directory_;
    int version_;
    std::optional<OpenFile> journal_;
    std::deque<std::uint64_t> segments_;  // that may have files
    std::uint64_t next_segment_ = 0;
};

// The directory of a virtual host: its stores, and its queues, which come and go.
class Vhost {
public:
    // Makes the directory. `scratch` is one outside of the node's, on the same file system.
    Vhost(const Scene& scene, Path directory, Path scratch);

    void step();

private:
    std::unique_ptr<ClassicQueue> make_queue(const Path& directory);
    Path new_name();
    void change_queues();
    void remove_queue();
    void move_queue();
    void change_left_out();

    Scene scene_;
    Path directory_;
    Path scratch_;
    std::vector<std::unique_ptr<MessageStore>> stores_;
    std::vector<std::unique_ptr<ClassicQueue>> queues_;
    std::uint64_t next_queue_ = 0;
};

class Vhosts {
public:
    // Makes the directory and the first virtual hosts.
    Vhosts(const Scene& scene, Path directory, Path scratch);

    void step();

private:
    void add(const std::string& name);

    Scene scene_;
    Path directory_;
    Path scratch_;
    std::map<std::string, std::unique_ptr<Vhost>> vhosts_;
    std::uint64_t next_ = 0;
};

}  // namespace mutator
