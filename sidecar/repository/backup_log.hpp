// The log of a backup: what happened when, from its beginning on, in words for people.
//
// What happened while it was made is a part of its manifest. What happened to it later (it was
// verified, booted, protected, noted) is a mark, ID.log, to which events are appended. Both go with
// the repository wherever it is taken.
#pragma once

#include "sidecar/json.hpp"
#include "sidecar/repository/timestamp.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace hot_backup {

class Fields;
class Repository;

struct LogEvent {
    Timestamp when;
    std::string event;  // a word that says of what sort it is: docs/format.md, "The log"
    std::string text;
    bool operator==(const LogEvent&) const = default;
};

inline constexpr std::string_view log_mark = "log";

// Of a manifest or a mark: the rest belongs to a backup that goes round in circles.
inline constexpr std::size_t most_log_events = 200;
// In bytes. A longer one is cut.
inline constexpr std::size_t longest_log_text = 1000;

OrderedJson to_json(const LogEvent& event);
// Throws BadField.
LogEvent read_log_event(const Fields& fields);

// Gathers what happens while a backup is made.
class LogWriter {
public:
    void add(std::string_view event, std::string text);
    // In their order. When there were too many, the last one says how many are left out.
    std::vector<LogEvent> take();

private:
    std::vector<LogEvent> events_;
    std::size_t left_out_ = 0;
};

// Appends to the mark. When it is full, the oldest events of it go. Errors as of protect().
void append_to_log(const Repository& repository, std::string_view backup_id, LogEvent event);
// What happened after the backup was made, in order of time. Nothing when the mark cannot be read.
std::vector<LogEvent> read_later_log(const Repository& repository, std::string_view backup_id);

}  // namespace hot_backup
