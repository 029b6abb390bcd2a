// Keeps what several threads read together below a number of bytes a second, evenly: nobody reads
// more than a tenth of a second's worth at once.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>

namespace hot_backup {

class RateLimiter {
public:
    // 0: no limit.
    explicit RateLimiter(std::uint64_t bytes_per_second) : rate_(bytes_per_second) {}

    // How many of `wanted` bytes may be read now; waits until it is their turn.
    std::size_t take(std::size_t wanted);

private:
    using Clock = std::chrono::steady_clock;

    const std::uint64_t rate_;
    std::mutex mutex_;
    Clock::time_point next_{};
};

}  // namespace hot_backup
