// What a network does to small datagrams between two of its hosts.
#pragma once

#include "tests/harness/network.hpp"

#include <chrono>

namespace harness {

// The median time there and back, one after the other. Throws Error when none came back.
std::chrono::microseconds measure_round_trip(const NetworkHost& from, const NetworkHost& to,
                                             int count = 200);

// How many of so many arrive.
int count_arrivals(const NetworkHost& from, const NetworkHost& to, int count);

}  // namespace harness
