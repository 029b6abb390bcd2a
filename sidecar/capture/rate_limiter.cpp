#include "sidecar/capture/rate_limiter.hpp"

#include <algorithm>
#include <thread>

namespace hot_backup {

std::size_t RateLimiter::take(std::size_t wanted) {
    if (rate_ == 0) {
        return wanted;
    }
    const auto slice = std::min<std::uint64_t>(wanted, std::max<std::uint64_t>(rate_ / 10, 1));
    const auto duration = std::chrono::duration_cast<Clock::duration>(
        std::chrono::duration<double>(static_cast<double>(slice) / static_cast<double>(rate_)));
    Clock::time_point turn;
    {
        const std::lock_guard lock(mutex_);
        turn = std::max(next_, Clock::now());
        next_ = turn + duration;
    }
    std::this_thread::sleep_until(turn);
    return static_cast<std::size_t>(slice);
}

}  // namespace hot_backup
