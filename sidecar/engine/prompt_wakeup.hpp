// How soon a thread gets a core when it is woken.
#pragma once

#include <cstdint>
#include <optional>

namespace hot_backup {

// While it lives, the calling thread preempts what runs on its core soon after it is woken, also
// where every core is busy. Meant for the stop: the VM's scheduler turns without a rest while it
// waits for the program, and the broker's clients go on for a while; without this the program
// waits for the end of somebody's time slice, which is most of the stop.
//
// It asks for the shortest time slice, which needs no privilege (sched(7), sched_setattr(2); Linux
// 6.12 and later. Older kernels prefer a woken thread as it is, and ignore it). Where the kernel
// does not let us nothing changes.
class PromptWakeup {
public:
    PromptWakeup() noexcept;
    ~PromptWakeup();
    PromptWakeup(const PromptWakeup&) = delete;
    PromptWakeup& operator=(const PromptWakeup&) = delete;

private:
    bool changed_ = false;
};

// The time slice of the calling thread in nanoseconds; nothing where the kernel does not tell.
std::optional<std::uint64_t> time_slice() noexcept;

}  // namespace hot_backup
