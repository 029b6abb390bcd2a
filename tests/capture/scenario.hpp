// One change of a tree, at one moment of a live copy: deterministic, where the mutator is not.
#pragma once

#include "tests/capture/image.hpp"
#include "tests/capture/mutator/disk.hpp"

#include <functional>
#include <string>

namespace capture_test {

using mutator::Path;

struct Scenario {
    std::string name;
    std::function<void(const Path& data)> prepare;
    // What happens to the tree between two looks of the copy. Beside `data` it may use
    // "outside", on the same file system.
    std::function<void(const Path& data)> change;
};

// When the change comes.
enum class Moment : std::uint8_t {
    before_first_pass,
    before_last_pass,
    before_cut,
    within_pass,   // while the first pass stores a block
    after_cut,     // which captured all; before finish()
    within_finish  // while it stores a block
};

struct Circumstances {
    Moment moment = Moment::before_cut;
    bool inotify = true;
    // Of `within_pass` and `within_finish`: which block, counted from 0.
    std::uint64_t block = 0;
};

struct Play {
    // What is wrong with the image; empty: nothing is.
    std::string differences;
    // The moment came: there were so many blocks.
    bool changed = false;
};

// Copies a new tree with the change at its moment, and compares the image with what lay there at
// the cut.
Play play(const Scenario& scenario, const Circumstances& circumstances);

// For people.
std::string to_text(const Circumstances& circumstances);

}  // namespace capture_test
