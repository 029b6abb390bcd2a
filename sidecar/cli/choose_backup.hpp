// Which backup a command is about.
#pragma once

#include "sidecar/cli/arguments.hpp"
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

// The repository of a command, and those that --with names.
// Errors as of Repository::open().
std::vector<Repository> open_repositories(const Arguments& arguments);

// For a command that is about the files of one node: the backup itself, or, of a cluster's, the
// part of `node`; without a node, the part that has the metadata. Error usage: it has no such
// part; not_found: the part is not in this repository.
std::string choose_part(const Repository& repository, const std::string& backup_id,
                        const std::string& node);

// As Repository::resolve(). Error usage: it is a part, which is nothing by itself.
std::string resolve_whole(const Repository& repository, const std::string& text);

// Throws the Error that keeps a backup, of a node or of a cluster, from being read.
void try_to_read(const Repository& repository, const std::string& backup_id);

// The same for a command that is about this one only: it warns of each that was passed over.
std::string choose_backup(const Repository& repository, const std::string& text, Output& output);

}  // namespace hot_backup
