#include "tests/capture/flood.hpp"

#include "tests/capture/mutator/disk.hpp"
#include "tests/harness/temp_dir.hpp"

#include <cstdint>
#include <string>

namespace capture_test {

void flood_events(const std::filesystem::path& directory) {
    const std::uint64_t queue =
        std::stoull(harness::read_file("/proc/sys/fs/inotify/max_queued_events"));
    mutator::OpenFile first(directory / "flood.1");
    mutator::OpenFile second(directory / "flood.2");
    // By turns: the kernel reports equal events in a row as one.
    for (std::uint64_t events = 0; events < queue + 100; events += 2) {
        first.write_at(0, "a");
        second.write_at(0, "b");
    }
}

}  // namespace capture_test
