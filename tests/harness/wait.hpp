// The one place where tests wait for something to become true: a condition, a deadline, never a
// bare sleep.
#pragma once

#include "erlang_port/error.hpp"

#include <chrono>
#include <string>
#include <thread>

namespace harness {

// Asks `condition` until what it returns is true (a bool, a pointer, an optional, ...) and returns
// that. Throws Error when `timeout` has passed first; `what` completes "waited 5 s in vain for
// ...".
template <class Condition>
auto wait_for(const std::string& what, std::chrono::milliseconds timeout, Condition&& condition) {
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    for (;;) {
        // Read before asking, so that the condition is asked once more after a long pause of this
        // process.
        const bool last = std::chrono::steady_clock::now() >= deadline;
        if (auto value = condition()) {
            return value;
        }
        if (last) {
            throw hot_backup::Error(
                hot_backup::ErrorCode::failed,
                "waited " + std::to_string(timeout.count()) + " ms in vain for " + what);
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
}

}  // namespace harness
