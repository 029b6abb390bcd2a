// The command line: what can be asked, and its defaults.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace hot_backup {

struct Arguments {
    enum class Command { create, list, show, verify, definitions, remove, port };
    Command command = Command::list;

    std::string repository;  // every command but port
    bool json = false;

    // create
    std::string node;
    bool long_names = false;
    std::optional<std::string> cookie_file;  // none: the usual places

    // show, verify, definitions: at most one; delete: one or more. `latest` or an unambiguous
    // prefix will do.
    std::vector<std::string> backups;
    bool all = false;         // verify
    std::string output_file;  // definitions; empty: standard output
};

// Reads the command line. Throws Error(usage). Returns nothing when --help or --version was asked
// for and has been printed.
std::optional<Arguments> parse_arguments(int argc, const char* const* argv);

}  // namespace hot_backup
