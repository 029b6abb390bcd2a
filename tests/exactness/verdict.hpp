// Is an image what it claims to be? What its queues hold, against what the clients know.
//
// Let the broker stand still from `begin` to `end`. Then:
//
// - a message that had been confirmed before `begin` and whose acknowledgement was not sent until
//   after `end` is in its queue, or it is *lost*;
// - a message of a pipeline that had been confirmed at its entry before `begin` is in the first
//   queue or in the second, unless its acknowledgement was sent for the second one until `end`; or
//   it is in *neither*;
// - a message whose publishing began after `end` is not there; it would be from the *future*;
// - a message that was acknowledged long before `begin` is not there; it would be *back*;
// - each message is there once in a queue (*duplicate*), was published to that very queue
//   (*unknown*), is what was published (*damaged*) and survives a restart (*transient*).
//
// Between these lie messages that may be there or not: published and not confirmed, acknowledged a
// moment ago.
#pragma once

#include "tests/exactness/ledger.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace exactness {

struct Standstill {
    Time begin;
    Time end;
};

// Consumers of `from` publish to `to`, wait for the confirm and then acknowledge.
struct Pipeline {
    QueueName from;
    QueueName to;
};

// The messages of each queue of an image; no ID: a damaged one.
using Messages = std::map<QueueName, std::vector<std::optional<std::uint64_t>>>;

// The broker keeps acknowledgements in its memory for a while before it writes them down, and a
// client's may wait in line before that: at a crash they are void.
inline constexpr std::chrono::seconds long_before{10};

enum class Fault { lost, neither, future, back, duplicate, unknown, damaged, transient };
const char* to_string(Fault fault);

struct Verdict {
    std::uint64_t checks = 0;  // messages that had to be there, found or not, and messages found
    std::map<Fault, std::uint64_t> faults;
    std::vector<std::string> examples;  // the first ones of the faults, for people

    std::uint64_t count(Fault fault) const;
    bool exact() const { return faults.empty(); }
};

Verdict judge(const std::map<QueueName, Records>& ledger, const std::vector<Pipeline>& pipelines,
              const Messages& messages, const Standstill& standstill);

}  // namespace exactness
