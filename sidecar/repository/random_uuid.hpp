// Names that nobody else has or guesses.
#pragma once

#include <string>

namespace hot_backup {

// A UUID of version 4, from the system's random numbers.
std::string random_uuid();

}  // namespace hot_backup
