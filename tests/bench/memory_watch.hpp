// What a backup costs the broker in memory, and a backup whose reader is slow.
#pragma once

#include "tests/harness/broker.hpp"

#include <cstdint>
#include <filesystem>
#include <thread>

namespace bench {

// Bytes at the peak above those at the start.
struct Growth {
    std::int64_t vm = 0;        // erlang:memory(total)
    std::int64_t resident = 0;  // of the operating system process
};

// Watches from its construction until finish(). A process in the VM looks every 2 ms, a thread here
// at the resident size.
class MemoryWatch {
public:
    explicit MemoryWatch(const harness::Broker& broker);

    Growth finish();

private:
    const harness::Broker& broker_;
    std::int64_t resident_at_start_ = 0;
    std::int64_t resident_peak_ = 0;  // the thread's until it has ended
    std::jthread sampler_;
};

// A backup by the command line that runs 5 ms and stands still 20 ms in turn, as on a disk of a
// fifth of the speed.
void back_up_slowly(const harness::Broker& broker, const std::filesystem::path& repository);

}  // namespace bench
