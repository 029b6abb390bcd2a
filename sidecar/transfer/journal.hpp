// What a restore into a live broker has delivered, in a file, so that it can go on when it was cut
// off.
//
// JSON lines. The first names the restore; each further one is the state of a queue, the last one
// of a queue counts. A line is on stable storage before the batch that it announces is sent. A line
// that was cut off by a crash is the last one, and ignored.
#pragma once

#include "sidecar/transfer/queue_name.hpp"

#include <compare>
#include <cstdint>
#include <map>
#include <string>

namespace hot_backup {

// A sum of digests: of the same messages in any order the same, for practical purposes.
struct MessageSum {
    std::uint64_t high = 0;
    std::uint64_t low = 0;
    bool operator==(const MessageSum&) const = default;

    void add(const MessageSum& other) noexcept;
};

struct QueueJournal {
    std::string transfer;         // names the delivery to the target
    std::uint64_t sent = 0;       // messages that may have been handed over
    std::uint64_t confirmed = 0;  // messages that the queue has for certain
    MessageSum sum;               // of the confirmed ones
    bool done = false;
    // Positions [doubtful_begin, doubtful_end) may be in the queue twice, by any of the runs.
    std::uint64_t doubtful_begin = 0;
    std::uint64_t doubtful_end = 0;
    std::string identity = {};  // of the queue that has them, where it has one
};

// Of what the journal is. Another restore needs another journal.
struct RestoreIdentity {
    std::string backup;
    std::string source;  // the backup's node
    std::string target;  // the broker's cluster
    std::string as;      // the new name of the one queue, if it has one
    bool operator==(const RestoreIdentity&) const = default;
};

class Journal {
public:
    // Opens or makes it, for this user alone. Error usage: it is of another restore. Error locked:
    // another restore writes it. Error damaged: that is no journal. Error failed: it cannot be
    // written.
    Journal(std::string path, const RestoreIdentity& identity);
    ~Journal();
    Journal(const Journal&) = delete;
    Journal& operator=(const Journal&) = delete;

    const std::string& path() const noexcept { return path_; }
    // Whether an earlier restore has written it.
    bool resumed() const noexcept { return resumed_; }
    // What an earlier restore wrote of the queue; a new entry with a new transfer otherwise.
    QueueJournal find(const QueueName& queue) const;
    // What an earlier restore delivered to the queue went with it: begins anew. As durable.
    void forget(const QueueName& queue);
    // Durable when it returns.
    void write(const QueueName& queue, const QueueJournal& entry);
    // Everything is delivered: the file goes.
    void remove();

private:
    void read(const RestoreIdentity& identity);
    void begin(const std::string& content, const std::string& header);
    void append(const std::string& line);

    std::string path_;
    int fd_ = -1;
    bool resumed_ = false;
    std::map<QueueName, QueueJournal> entries_;
};

}  // namespace hot_backup
