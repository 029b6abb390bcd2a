// What belongs to this program and a sandbox broker needs, found by where the program lies: as
// installed, or as built.
#pragma once

#include "sidecar/repository/file_system.hpp"

namespace hot_backup {

// The directory that holds the plugin of this release: what to name in RABBITMQ_PLUGINS_DIR. Error
// failed when there is none.
Path own_plugins_directory();

// The library that is preloaded into a sandbox broker (clock.cpp, loopback.cpp). Error failed when
// it is not there.
Path own_preloaded_library();

}  // namespace hot_backup
