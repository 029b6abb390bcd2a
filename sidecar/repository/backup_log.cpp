#include "sidecar/repository/backup_log.hpp"

#include "sidecar/repository/json_fields.hpp"
#include "sidecar/repository/mark_file.hpp"

#include <algorithm>

namespace hot_backup {
namespace {

// Not within a character of UTF-8.
void cut(std::string& text) {
    if (text.size() <= longest_log_text) {
        return;
    }
    auto size = longest_log_text;
    while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0U) == 0x80U) {
        --size;
    }
    text.resize(size);
}

}  // namespace

OrderedJson to_json(const LogEvent& event) {
    return {{"when", to_text(event.when)}, {"event", event.event}, {"text", event.text}};
}

LogEvent read_log_event(const Fields& fields) {
    return {fields.time("when"), fields.text("event"), fields.text("text")};
}

void LogWriter::add(std::string_view event, std::string text) {
    if (events_.size() + 1 >= most_log_events) {
        ++left_out_;
        return;
    }
    cut(text);
    events_.push_back({now(), std::string(event), std::move(text)});
}

std::vector<LogEvent> LogWriter::take() {
    if (left_out_ > 0) {
        events_.push_back(
            {now(), "note", std::to_string(left_out_) + " more events were left out"});
    }
    return std::move(events_);
}

void append_to_log(const Repository& repository, std::string_view backup_id, LogEvent event) {
    cut(event.text);
    const MarksLock lock(repository);
    auto events = read_later_log(repository, backup_id);
    events.push_back(std::move(event));
    if (events.size() > most_log_events) {
        events.erase(events.begin(), events.end() - static_cast<std::ptrdiff_t>(most_log_events));
    }
    std::vector<OrderedJson> lines;
    lines.reserve(events.size());
    for (const auto& one : events) {
        lines.push_back(to_json(one));
    }
    write_mark(repository, lock, backup_id, log_mark, lines);
}

std::vector<LogEvent> read_later_log(const Repository& repository, std::string_view backup_id) {
    std::vector<LogEvent> events;
    try {
        for (const auto& line : read_mark(repository, backup_id, log_mark)) {
            events.push_back(read_log_event(Fields(line)));
        }
    } catch (const Error&) {
        return {};
    } catch (const BadField&) {
        return {};
    }
    std::stable_sort(events.begin(), events.end(),
                     [](const LogEvent& a, const LogEvent& b) { return a.when < b.when; });
    return events;
}

}  // namespace hot_backup
