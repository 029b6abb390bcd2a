// Who a process is, so that a lock that it left behind can be told from one that it still holds.
// docs/format.md, "The lock".
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace hot_backup {

struct ProcessIdentity {
    std::string host;
    std::int64_t pid = 0;
    std::uint64_t process_start = 0;  // in clock ticks since the machine booted
    std::string boot_id;              // changes whenever the machine boots
    std::string machine_id;           // stays when it does; many containers have none
    bool operator==(const ProcessIdentity&) const = default;
};

ProcessIdentity this_process();

// When the process with this pid on this machine started; nothing when there is none, or only its
// unreaped rest.
std::optional<std::uint64_t> process_start_of(std::int64_t pid);

}  // namespace hot_backup
