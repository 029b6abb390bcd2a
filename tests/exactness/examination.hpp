// An image on trial: its Raft logs and streams are read, it is booted in isolation under its node's
// name, its queues are emptied, and all of that is compared with what the clients know.
#pragma once

#include "tests/exactness/load.hpp"
#include "tests/exactness/verdict.hpp"
#include "tests/tools/image.hpp"
#include "tests/tools/ra_log.hpp"
#include "tests/tools/stream_log.hpp"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <string>
#include <vector>

namespace exactness {

struct Examination {
    tools::RaReport raft;
    std::vector<std::string> raft_problems;
    tools::StreamReport streams;
    Verdict verdict;
    nlohmann::json definitions;            // the booted node's own export
    std::vector<std::string> unavailable;  // queues that gave no messages, and why
    std::vector<std::string> trespass;     // files of the original that the booted node had open
    std::string boot_failure;  // why it did not boot, or did not serve; then there is no
                               // verdict

    // By its messages, its Raft logs and its streams.
    bool exact() const;
    // One line.
    std::string summary() const;
    // All that is wrong, for people.
    std::string problems() const;
};

// Of a queue that may have been about to be deleted the node may have a record that it cannot
// recover after a crash: such queues are left out of a comparison of definitions.
nlohmann::json without_deleted_queues(nlohmann::json definitions, const Ledger& ledger,
                                      const Standstill& standstill);

// The load stands still. `original` is the broker that the image is of.
Examination examine(const tools::Image& image, const harness::Broker& original, const Load& load,
                    const Standstill& standstill);

// The same of the images of all nodes of a cluster, which is booted as one.
Examination examine(const std::vector<tools::Image>& images, const Load& load,
                    const Standstill& standstill);

}  // namespace exactness
