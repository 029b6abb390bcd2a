// Errors as they cross the protocol: docs/protocol.md, "Grammar", Error.
#pragma once

#include "erlang_port/error.hpp"
#include "erlang_port/term.hpp"

namespace erlang {

// The plugin's error as ours: `cancelled` is interrupted, `mismatch` is unreachable, everything
// else failed. One without a hint gets one that points to the broker's log.
hot_backup::Error plugin_error(const Map& error);

// Ours for the plugin: interrupted is `cancelled`, usage (a request that we do not know) is
// `unsupported`, everything else `failed`.
Term error_for_plugin(const hot_backup::Error& error);

}  // namespace erlang
