// The steps of a benchmark that are programs of their own.
#pragma once

#include "tests/harness/broker.hpp"
#include "tests/harness/process.hpp"

#include <cstddef>
#include <string>
#include <vector>

namespace bench {

// Throws Error with what it printed when `what`, whose result this is, failed.
void check(const harness::Result& result, const std::string& what);

// Runs a program to its end, and checks that.
harness::Result checked(const std::string& program, const std::vector<std::string>& arguments);

// What is left to be written of the step before shall not slow the next one. And a virtual
// machine's host takes free memory back, and the first to need it again pays for that: let it be
// neither of them, by so many megabytes that are written and dropped.
void settle(const harness::Broker& broker, std::size_t megabytes);

}  // namespace bench
