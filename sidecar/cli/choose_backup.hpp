// Which backup a command is about.
#pragma once

#include "sidecar/cli/output.hpp"
#include "sidecar/repository/repository.hpp"

#include <string>

namespace hot_backup {

// As Repository::resolve(), but `latest` is the newest backup that can be read: those that are
// newer are passed over, each with a warning. Where none can be read it is the newest one.
std::string choose_backup(const Repository& repository, const std::string& text, Output& output);

// Whether its manifest can be read.
bool can_be_read(const Repository& repository, const std::string& backup_id);

}  // namespace hot_backup
