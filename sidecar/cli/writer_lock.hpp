// The lock of a repository for a command that changes it.
#pragma once

#include "sidecar/cli/output.hpp"
#include "sidecar/repository/repository.hpp"

#include <chrono>
#include <memory>
#include <string_view>

namespace hot_backup {

// Waits for another writer for as long as the operator wants, and says so once. A signal ends the
// waiting. Errors as of wait_for_lock().
std::unique_ptr<Lock> lock_for_writing(const Repository& repository, std::string_view command,
                                       std::chrono::seconds patience, Output& output);

}  // namespace hot_backup
