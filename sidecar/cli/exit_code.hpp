// The one place that maps errors to exit codes. They are part of the interface: --help and
// docs/operations.md list them.
#pragma once

#include "erlang_port/error.hpp"

namespace hot_backup {

enum ExitCode : int {
    exit_done = 0,
    exit_failed = 1,
    exit_usage = 2,
    exit_damaged = 3,
    exit_not_found = 10,
    exit_locked = 11,
    exit_unreachable = 12,
    exit_protected = 13,
    exit_interrupted = 130,
};

constexpr ExitCode exit_code(ErrorCode code) {
    switch (code) {
        case ErrorCode::failed:
            return exit_failed;
        case ErrorCode::usage:
            return exit_usage;
        case ErrorCode::damaged:
            return exit_damaged;
        case ErrorCode::not_found:
            return exit_not_found;
        case ErrorCode::locked:
            return exit_locked;
        case ErrorCode::unreachable:
            return exit_unreachable;
        case ErrorCode::kept:
            return exit_protected;
        case ErrorCode::interrupted:
            return exit_interrupted;
    }
    return exit_failed;
}

}  // namespace hot_backup
