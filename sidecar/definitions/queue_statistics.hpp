// How many messages each queue had: the lines of `statistics/queues` (docs/format.md).
//
// They come from the node's own counters and are for people: nothing is restored from them.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace hot_backup {

// What the node did not know of a queue is absent.
struct QueueStatistics {
    std::string vhost;
    std::string name;
    std::optional<std::uint64_t> ready;           // messages
    std::optional<std::uint64_t> unacknowledged;  // messages
    std::optional<std::uint64_t> bytes;           // of both
    std::optional<std::uint64_t> persistent;      // of both, messages that survive a restart
    // Of a classic queue that had nothing to do when it counted: Unix time in milliseconds.
    std::optional<std::uint64_t> idle_since;
    std::optional<std::uint64_t> first_offset;  // of a stream
    std::optional<std::uint64_t> last_offset;   // of a stream
    bool operator==(const QueueStatistics&) const = default;
};

// The line, with its line feed. Names are written as replace_invalid_utf8() makes them.
std::string to_line(const QueueStatistics& queue);

// Takes the content in pieces of any size and hands out a queue for each line. Memory: a line.
// Error damaged: that is no such file; it names the line.
class QueueStatisticsReader {
public:
    using Consume = std::function<void(QueueStatistics)>;
    explicit QueueStatisticsReader(Consume consume) : consume_(std::move(consume)) {}

    void add(std::string_view piece);
    // There is no further piece.
    void finish() const;

private:
    void take_line(std::string_view line);
    [[noreturn]] void refuse(const std::string& reason) const;

    Consume consume_;
    std::string begun_;  // of a line whose end is yet to come
    std::uint64_t lines_ = 0;
};

}  // namespace hot_backup
