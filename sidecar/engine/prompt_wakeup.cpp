#include "sidecar/engine/prompt_wakeup.hpp"

#include <sys/syscall.h>
#include <unistd.h>

namespace hot_backup {
namespace {

// The kernel's struct sched_attr in its first version (48 bytes). Its header cannot be included
// beside the C library's <sched.h>, and the C library has no function for it.
struct Attributes {
    std::uint32_t size = sizeof(Attributes);
    std::uint32_t policy = 0;
    std::uint64_t flags = 0;
    std::int32_t nice = 0;
    std::uint32_t priority = 0;
    std::uint64_t runtime = 0;  // nanoseconds; of an ordinary thread its time slice
    std::uint64_t deadline = 0;
    std::uint64_t period = 0;
};
static_assert(sizeof(Attributes) == 48);

constexpr std::uint64_t shortest_slice = 100'000;  // less is taken as this
constexpr std::uint64_t default_slice = 0;
constexpr int this_thread = 0;

std::optional<Attributes> attributes() noexcept {
    Attributes attributes;
    if (::syscall(SYS_sched_getattr, this_thread, &attributes, sizeof attributes, 0) != 0) {
        return std::nullopt;
    }
    return attributes;
}

// Only of an ordinary thread: with a realtime policy it would mean something else.
bool set_slice(std::uint64_t nanoseconds) noexcept {
    auto changed = attributes();
    if (!changed || changed->policy != 0) {
        return false;
    }
    changed->runtime = nanoseconds;
    return ::syscall(SYS_sched_setattr, this_thread, &*changed, 0) == 0;
}

}  // namespace

PromptWakeup::PromptWakeup() noexcept : changed_(set_slice(shortest_slice)) {}

PromptWakeup::~PromptWakeup() {
    if (changed_) {
        set_slice(default_slice);
    }
}

std::optional<std::uint64_t> time_slice() noexcept {
    const auto now = attributes();
    return now && now->policy == 0 && now->runtime != 0 ? std::optional(now->runtime)
                                                        : std::nullopt;
}

}  // namespace hot_backup
