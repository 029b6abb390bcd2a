// TCP ports on the loopback interface that nobody listens on.
#pragma once

#include <cstdint>

namespace hot_backup {

// One that can be listened on now. Another process may take it before we do; it is chosen at random
// from below the kernel's own choices for outgoing connections, so hardly any does.
std::uint16_t free_loopback_port();

}  // namespace hot_backup
