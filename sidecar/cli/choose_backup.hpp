// Which backup a command is about.
#pragma once

#include "sidecar/cli/output.hpp"
#include "sidecar/repository/repository.hpp"

#include <string>
#include <vector>

namespace hot_backup {

struct UnreadableBackup {
    std::string id;
    std::string reason;
};

struct ChosenBackup {
    std::string id;
    std::vector<UnreadableBackup> passed_over;  // the newest first
};

// As Repository::resolve(), but `latest` is the newest backup that can be read: those that are
// newer are passed over. Where none can be read it is the newest one.
ChosenBackup find_backup(const Repository& repository, const std::string& text);

// The same for a command that is about this one only: it warns of each that was passed over.
std::string choose_backup(const Repository& repository, const std::string& text, Output& output);

}  // namespace hot_backup
