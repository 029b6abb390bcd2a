// The one error type of the program: what happened, and what the operator can do about it.
//
// Everything that fails throws Error. It is caught once in main (which maps the code to an exit
// code and prints message and hint) and once per request of the plugin. Messages begin in lower
// case, name the file, node or backup they are about, and have no full stop.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace hot_backup {

// Kinds of failure that a caller or an exit code tells apart; sidecar/cli/exit_code.hpp maps them.
enum class ErrorCode {
    failed,       // anything without a code of its own
    usage,        // the command line is wrong
    damaged,      // stored bytes are not what was written
    not_found,    // no such backup or repository
    locked,       // another writer has the repository
    kept,         // the backup is protected
    unreachable,  // the node cannot be reached, refuses the cookie, or has no plugin
    interrupted,  // the operator or the node cancelled the work
};

class Error : public std::runtime_error {
public:
    Error(ErrorCode code, const std::string& message, std::string hint = {})
        : std::runtime_error(message), code_(code), hint_(std::move(hint)) {}

    ErrorCode code() const noexcept { return code_; }
    // What to do about it: a sentence or empty.
    const std::string& hint() const noexcept { return hint_; }

private:
    ErrorCode code_;
    std::string hint_;
};

}  // namespace hot_backup
