// Which backups `prune` keeps: a function of what is known of them, and of nothing else.
//
// Backups of different nodes have nothing to do with each other, and neither have those of a
// cluster, which count as of a node "cluster/NAME". Of each node, a rule "daily 7"
// keeps the newest backup of each of the last seven days that have one, and so on; a backup that
// one rule keeps is kept. "Newest" is the order in which the backups were made, which is that of
// their IDs; the day is that of the instant, in the calendar that the caller gives.
#pragma once

#include "sidecar/repository/timestamp.hpp"

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hot_backup {

// How many periods each rule keeps a backup of; 0: there is no such rule.
struct RetentionRules {
    unsigned last = 0;  // backups, whenever they were made
    unsigned hourly = 0;
    unsigned daily = 0;
    unsigned weekly = 0;  // weeks of ISO 8601, which begin on Monday
    unsigned monthly = 0;
    unsigned yearly = 0;
    bool operator==(const RetentionRules&) const = default;
};

struct RetentionBackup {
    std::string id;
    std::string node;                 // or "cluster/NAME"; unknown when it is not readable
    Timestamp instant;                // as well
    bool readable = true;             // its manifest
    bool is_protected = false;        // by its mark
    std::optional<bool> intact = {};  // what the last verification found; none: there was none
};

enum class RetentionReason {
    last,
    hourly,
    daily,
    weekly,
    monthly,
    yearly,
    is_protected,
    newest_intact,      // the newest that is known to be intact
    newest_readable,    // none is known to be intact: the newest that may be
    unreadable,         // nobody knows what it is
    no_intact_is_kept,  // damaged, but nothing newer is kept that is known to be intact
};

// As it is written in JSON: "last", "protected", "newest_intact".
std::string_view name_of(RetentionReason reason);

// Why a backup is kept; nothing: it goes.
using RetentionReasons = std::vector<RetentionReason>;

// How far a calendar is ahead of UTC at a time.
using UtcOffset = std::function<std::chrono::seconds(Timestamp)>;

// The reasons for each of the backups, in the order in which they are given. A damaged backup
// counts for no rule; it goes only when a newer one known to be intact is kept.
std::vector<RetentionReasons> apply_retention(const std::vector<RetentionBackup>& backups,
                                              const RetentionRules& rules, const UtcOffset& offset);

}  // namespace hot_backup
