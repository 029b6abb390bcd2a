// The mutator from the outside: started, paced, stopped as a node is at the cut, and counted.
#pragma once

#include "tests/capture/mutator/control.hpp"
#include "tests/harness/process.hpp"
#include "tests/harness/temp_dir.hpp"

#include <cstdint>
#include <filesystem>

namespace capture_test {

class MutatorProcess {
public:
    // Starts it in a new directory below `parent`, and returns when its first tree stands; it is
    // idle then. It keeps about `tiny_files` small files besides what a node has.
    MutatorProcess(const std::filesystem::path& parent, std::uint64_t seed,
                   std::uint64_t tiny_files);

    // Where its trees are: data, stream, feature_flags, scratch.
    const std::filesystem::path& place() const noexcept { return place_; }

    // Microseconds between two mutations of each of its threads; 0 is as fast as it can.
    void set_pause(std::uint32_t microseconds) { control_->pause.store(microseconds); }
    // Returns when so many more mutations were made.
    void wait_for_mutations(std::uint64_t number);

    // Returns when no thread of it runs. Nothing happens when it is stopped.
    void stop();
    void resume();

    mutator::BehaviourCounts counts() const;

private:
    bool is_stopped() const;
    void check_alive();

    std::filesystem::path place_;
    mutator::SharedControl control_;
    harness::Process process_;
    bool stopped_ = false;
};

}  // namespace capture_test
