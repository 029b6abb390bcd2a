// The marks of a backup (repository/marks.hpp) as the commands show and write them.
#pragma once

#include "sidecar/cli/output.hpp"
#include "sidecar/repository/marks.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace hot_backup {

// Adds "protected", "protection", "verified" and "booted": docs/json.md.
void add_marks(OrderedJson& json, const Marks& marks);

// With its age: "never", "intact 3 h, booted 2 d", "DAMAGED 5 min", "intact 3 h, DIFFERS 2 d".
std::string describe_checks(const Marks& marks, Timestamp now);
// "by checksums 2026-11-22T07:32:41Z: intact; 41.2 MB in 1.3 s, version 0.1.0".
std::string describe_check(const Check& check, CheckKind kind);
// The same without how and when.
std::string describe_outcome(const Check& check, CheckKind kind);

// "45 s", "12 min", "3 h", "4 d": one unit. "0 s" of what is yet to come.
std::string format_age(std::chrono::seconds age);

// Writes the mark, and a line into the backup's log. A repository that may only be read is no
// reason for a verification to fail: then it is a warning. Returns whether it is written.
bool record_or_warn(const Repository& repository, std::string_view backup_id, CheckKind kind,
                    const Check& check, const std::vector<OrderedJson>& findings, Output& output);

// What was done is done, also when the log cannot be written to.
void log_or_warn(const Repository& repository, std::string_view backup_id, LogEvent event,
                 Output& output);

// A Check that ends now, by this program.
Check finished_check(std::chrono::steady_clock::time_point begin, std::uint64_t findings,
                     std::uint64_t bytes, std::string rabbitmq_version = {});

}  // namespace hot_backup
