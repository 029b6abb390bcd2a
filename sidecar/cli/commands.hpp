// The commands, one function each. They throw Error; what they return is the exit code of a run
// that did what was asked.
#pragma once

#include "sidecar/cli/arguments.hpp"
#include "sidecar/cli/exit_code.hpp"
#include "sidecar/cli/output.hpp"
#include "sidecar/repository/manifest.hpp"

#include <string>

namespace hot_backup {

ExitCode create_command(const Arguments& arguments, Output& output);
ExitCode list_command(const Arguments& arguments, Output& output);
ExitCode show_command(const Arguments& arguments, Output& output);
ExitCode verify_command(const Arguments& arguments, Output& output);
// `verify --boot`.
ExitCode drill_command(const Arguments& arguments, Output& output);
ExitCode definitions_command(const Arguments& arguments, Output& output);
ExitCode restore_command(const Arguments& arguments, Output& output);
ExitCode restore_into_command(const Arguments& arguments, Output& output);
ExitCode archive_command(const Arguments& arguments, Output& output);
ExitCode delete_command(const Arguments& arguments, Output& output);
ExitCode protect_command(const Arguments& arguments, Output& output);
ExitCode unprotect_command(const Arguments& arguments, Output& output);
ExitCode note_command(const Arguments& arguments, Output& output);
ExitCode prune_command(const Arguments& arguments, Output& output);

// What create, list and show say of a backup with --json.
OrderedJson to_json(const std::string& backup_id, const Summary& summary);
// "3 vhosts, 12 queues, ...": what it holds, for people.
std::string describe_counts(const Counts& counts);
// "6.1 ms (0.9 ms to stop everything, 5.2 ms held), 1 attempt, 3 passes".
std::string describe_cut(const CutSummary& cut);

}  // namespace hot_backup
