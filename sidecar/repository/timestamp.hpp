// Times as the repository writes them: ISO 8601 in UTC, in microseconds, such as
// 2026-11-22T07:32:41.512000Z.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace hot_backup {

// A point in UTC. Plugin times (Unix time in microseconds) convert with
// Timestamp{std::chrono::microseconds{n}}.
using Timestamp = std::chrono::sys_time<std::chrono::microseconds>;

Timestamp now();

// Of a time in the years 0 to 9999.
std::string to_text(Timestamp time);
// Nothing unless `text` is a date and time of that form; a fraction has up to nine digits or is
// left out.
std::optional<Timestamp> parse_timestamp(std::string_view text);

// How far the local time of this machine (TZ, /etc/localtime) is ahead of UTC at that time.
std::chrono::seconds local_offset(Timestamp time);

}  // namespace hot_backup
