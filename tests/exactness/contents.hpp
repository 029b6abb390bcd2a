// Takes everything out of the queues of a booted image.
#pragma once

#include "tests/exactness/verdict.hpp"
#include "tests/harness/broker.hpp"

#include <nlohmann/json.hpp>

namespace exactness {

struct Contents {
    Messages messages;
    // Queues that do not give their messages, and why: one that was about to be deleted, for
    // example. Whether they may, the verdict tells: all their messages are missing.
    std::vector<std::string> unavailable;
};

// Empties the queues that `definitions` (an export of this broker) name. The broker serves nobody
// else.
Contents take_contents(const harness::Broker& broker, const nlohmann::json& definitions);

}  // namespace exactness
