// The command line: what can be asked, and its defaults.
#pragma once

#include <chrono>
#include <cstdint>
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
    // None: what the node is configured for.
    std::optional<std::chrono::milliseconds> max_pause;
    std::optional<std::uint64_t> rate_limit;  // bytes a second; 0: no limit

    // show, verify, definitions: at most one; delete: one or more. `latest` or an unambiguous
    // prefix will do.
    std::vector<std::string> backups;
    bool all = false;                  // verify: backups; show: queues
    bool files = false;                // show
    std::optional<std::string> vhost;  // show; none: all of them
    std::string output_file;           // definitions; empty: standard output
};

// Reads the command line. Throws Error(usage). Returns nothing when --help or --version was asked
// for and has been printed.
std::optional<Arguments> parse_arguments(int argc, const char* const* argv);

}  // namespace hot_backup
