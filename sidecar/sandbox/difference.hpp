// What a broker booted from a backup does not serve as the backup says.
#pragma once

#include "sidecar/json.hpp"

#include <functional>
#include <string>

namespace hot_backup {

struct Difference {
    std::string kind;   // "queue", "binding", "user", "vhost", ...
    std::string vhost;  // empty for what belongs to none
    std::string name;
    // "definition", "state", "messages", "first_offset", "last_offset".
    std::string aspect;
    Json expected;  // null: it should not be there
    Json found;     // null: it is not there
    // Why this proves nothing; empty: it is a finding.
    std::string excuse = {};
    // Of a cluster's backup, the node whose part says what is expected; empty: all of them do.
    std::string node = {};
};

using ReportDifference = std::function<void(Difference)>;

// `queue "orders" in vhost "/": messages: expected 10, found 9`, with " on rabbit@a" before the
// second colon.
std::string to_text(const Difference& difference);

}  // namespace hot_backup
