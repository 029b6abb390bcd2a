// Names that nobody else has or guesses.
#pragma once

#include <string>

namespace hot_backup {

// 32 hexadecimal digits from the kernel's random numbers.
std::string random_text();

}  // namespace hot_backup
