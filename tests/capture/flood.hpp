// Events of inotify, more than its queue holds.
#pragma once

#include <filesystem>

namespace capture_test {

// Changes two files below `directory` so often that the queue of every inotify instance that
// watches it and is not read meanwhile runs over.
void flood_events(const std::filesystem::path& directory);

}  // namespace capture_test
