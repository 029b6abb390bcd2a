// Rounds of a live copy against the mutator: copied while it runs, cut while it is stopped, and
// compared byte by byte with what lay there when it was stopped.
#pragma once

#include "tests/capture/image.hpp"
#include "tests/capture/mutator_process.hpp"

#include "sidecar/capture/live_copy.hpp"

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace capture_test {

// Where a round stores, and how that is read back.
class Destination {
public:
    virtual ~Destination() = default;
    virtual hot_backup::StoreBlock store_block() = 0;
    virtual Image image(std::vector<hot_backup::FileEntry> entries) = 0;
};

using MakeDestination = std::function<std::unique_ptr<Destination>()>;
std::unique_ptr<Destination> in_memory();

struct Plan {
    std::uint64_t rounds = 50;
    std::uint64_t tiny_files = 60;
    bool inotify = true;
    // The kernel's queue of events runs over in each round.
    bool overflow = false;
    // The kernel has watches for some directories only.
    bool expect_unwatched = false;
    std::filesystem::path parent = std::filesystem::temp_directory_path();
    MakeDestination destination = in_memory;
};

// What happened in rounds that all were right.
struct Tally {
    std::uint64_t rounds = 0;
    std::array<std::uint64_t, 5> outcomes{};  // of cuts, by Cut::Outcome
    std::uint64_t forgotten = 0;              // cuts that captured all, and were forgotten
    std::uint64_t files_in_cuts = 0;
    std::uint64_t memory_bytes = 0;
    std::uint64_t tail_bytes = 0;
    mutator::BehaviourCounts in_passes{};   // while a copy was made
    mutator::BehaviourCounts before_cut{};  // from the last pass until the cut

    std::uint64_t outcome(hot_backup::Cut::Outcome which) const {
        return outcomes.at(static_cast<std::size_t>(which));
    }
    Tally& operator+=(const Tally& other);
};

// Plays `plan`, with a mutator and a tree of its own. Throws std::runtime_error at the first
// difference: it names the seed, which makes the same play again, if not the same race.
Tally play(const Plan& plan, std::uint64_t seed);

// Of the environment's HOT_BACKUP_MUTATOR_SEED; otherwise another one in each run.
std::uint64_t first_seed();

// Rounds for this build: `number`, far fewer with a sanitizer, more with HOT_BACKUP_SOAK=1.
std::uint64_t rounds_here(std::uint64_t number);

// For people.
std::string to_text(const Tally& tally);

}  // namespace capture_test
