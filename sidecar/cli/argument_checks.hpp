// What has to be said of the command line's values besides what CLI11 has words for.
#pragma once

#include "sidecar/cli/arguments.hpp"

#include <string>

namespace hot_backup {

// Each returns what is wrong with the text of an option; empty when nothing is.
//
// CLI11 takes -1 and what is beyond 64 bits for numbers.
std::string size_problem(const std::string& text);
std::string count_problem(const std::string& text);
// Of what becomes a line of JSON and of a table.
std::string text_problem(const std::string& text);
std::string time_problem(const std::string& text);

// Options that only make sense together. Error usage.
void check_prune(const PruneArguments& prune);
void check_restore(const Arguments& arguments);

}  // namespace hot_backup
