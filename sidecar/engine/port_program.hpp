// The program as the plugin starts it: makes backups when it is asked to, until its standard input
// ends.
#pragma once

#include "erlang_port/channel.hpp"
#include "sidecar/repository/file_system.hpp"

#include <memory>

namespace hot_backup {

// Serves the plugin over the channel: standard input and output. Returns when the plugin has closed
// them: the broker stopped, or ended us. Throws Error when the session cannot go on. A backup that
// fails is reported to the plugin, and the next request is served.
void run_port_program(FileSystem& file_system, std::unique_ptr<erlang::Channel> channel);

}  // namespace hot_backup
