// What the operator sees: lines and a progress line on a terminal, or JSON lines for programs.
//
// Results go to standard output; errors, and the progress line, to standard error. With --json
// everything, errors too, is one JSON object a line on standard output, told apart by
// "message_type": "status", "summary", "damage" or "error".
#pragma once

#include "erlang_port/error.hpp"
#include "sidecar/json.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hot_backup {

// How fast a phase of the work goes, by its own progress since it began. Nothing is known of its
// first half second.
class Pace {
public:
    using Time = std::chrono::steady_clock::time_point;

    void begin(Time now, std::uint64_t done);
    std::optional<std::uint64_t> bytes_per_second(Time now, std::uint64_t done) const;
    // Rounded up. Nothing when `total` is 0, unknown.
    std::optional<std::uint64_t> seconds_left(Time now, std::uint64_t done,
                                              std::uint64_t total) const;

private:
    Time begin_;
    std::uint64_t done_at_begin_ = 0;
};

class Output {
public:
    explicit Output(bool json);

    bool json() const noexcept { return json_; }

    // How far the work is; `total` is 0 when unknown. May be called often: it shows the beginning
    // of a phase, its end, and five states a second in between.
    void progress(std::string_view phase, std::uint64_t done, std::uint64_t total);
    // A line for people; nothing with --json.
    void line(std::string_view text);
    // A line for programs; nothing without --json. Adds "message_type":"summary".
    void summary(OrderedJson object);
    // The same for an object that has its "message_type".
    void message(const OrderedJson& object);
    // What the operator should know although the work is done; with --json nothing, the summary has
    // it.
    void warning(std::string_view text);
    void error(const Error& error);

    // Flushes standard output and throws when what was printed did not arrive (a full disk, a
    // closed pipe).
    void finish();

private:
    using Time = Pace::Time;

    void progress_line(Time now, std::uint64_t done, std::uint64_t total);
    void progress_message(Time now, std::uint64_t done, std::uint64_t total);
    void clear_progress();

    bool json_;
    bool terminal_;
    bool progress_shown_ = false;
    std::string phase_;
    Pace pace_;
    Time shown_at_;
};

// The line that an Error is for programs, without its line feed: docs/json.md.
std::string error_line(const Error& error);

// "41.2 MB", "812 B": powers of 1,000, at most four digits.
std::string format_bytes(std::uint64_t bytes);
// "850 ms", "1.3 s", "2 min 5 s".
std::string format_duration(double seconds);
// "6.1 ms", of microseconds.
std::string format_pause(std::uint64_t microseconds);
// "1 queue", "2 queues".
std::string plural(std::uint64_t count, std::string_view one, std::string_view many);
// Pads with spaces to `width` columns, counting code points of UTF-8.
std::string pad(std::string_view text, std::size_t width);
// The text with control characters escaped: names may hold what would confuse a terminal.
std::string printable(std::string_view text);

}  // namespace hot_backup
