// Which process the kernel ends first when the machine runs out of memory.
#pragma once

namespace hot_backup {

// Makes this process a likelier victim than a broker. For the whole life of the process; where the
// kernel does not let us nothing changes.
void offer_to_oom_killer() noexcept;

}  // namespace hot_backup
