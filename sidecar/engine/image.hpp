// Takes the image of a node: its files and the checkpoint of its metadata, both of one instant.
//
// Why it is exact, and what each failure leaves, is in docs/consistency.md.
#pragma once

#include "sidecar/capture/live_copy.hpp"
#include "sidecar/engine/broker.hpp"
#include "sidecar/engine/making_log.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

namespace hot_backup {

// How far the copy is; `phase` names the pass.
using ImageListener =
    std::function<void(const std::string& phase, std::uint64_t done, std::uint64_t total)>;

// Whether the other nodes of a cluster are as far: docs/protocol.md, "Parts".
struct Readiness {
    bool go = true;
    bool lock = false;  // whoever wants to change metadata has to wait for the stop
};

// What a try is told to, and asks. All but `listener` may be empty.
struct ImageCalls {
    ImageListener listener;
    // Called before a try, when nothing is held yet; not for one that follows within seconds.
    std::function<void()> before_stop;
    // Called right before each try with what is left to copy; waits for a while. As long as the
    // answer is no, what is new is copied and the question asked again.
    std::function<Readiness(const Remainder& left)> ready;
};

struct Image {
    Checkpoint checkpoint;  // still active when take_image() returns
    Timestamp instant;
    CutSummary cut;
};

// Copies until little is left, then stops the node and takes the rest; again, if that was not to
// be had. Afterwards copy.take_entries() has the files. Throws Error: then there is no image, and
// the message says what kept it from becoming one. `log` is told what happens.
Image take_image(Broker& broker, LiveCopy& copy, std::chrono::milliseconds max_pause,
                 const ImageCalls& calls, MakingLog& log);

}  // namespace hot_backup
