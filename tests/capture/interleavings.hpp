// What the tests of interleavings share: changes of a tree in one line each, and playing a scenario
// at every moment.
#pragma once

#include "tests/capture/scenario.hpp"

#include <sys/stat.h>

#include <cstdint>
#include <string>

namespace capture_test {

using mutator::OpenFile;

// Different bytes in each call, so that no change is without effect. In several threads at once.
std::string fresh(std::size_t size);

// Makes the file, or one in its place, and the directories above it.
void put(const Path& path, std::size_t size = 300);
void append(const Path& path, std::size_t size = 300);
void overwrite(const Path& path, std::uint64_t offset, std::size_t size = 20);
// Two names change places in one step.
void exchange(const Path& first, const Path& second);

struct stat status_of(const Path& path);
void set_times_of(const Path& path, const struct stat& status);

// The directory beside the one that is copied.
Path outside(const Path& data);

// Two directories with files, one file of several blocks, and one beside them.
void two_directories(const Path& data);

// Every moment, with and without inotify; CHECKs that no image differs.
void play_everywhere(const Scenario& scenario);

}  // namespace capture_test
