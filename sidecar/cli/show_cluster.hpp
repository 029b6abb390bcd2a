// `show` of a cluster backup.
#pragma once

#include "sidecar/cli/arguments.hpp"
#include "sidecar/cli/output.hpp"
#include "sidecar/repository/marks.hpp"

#include <string>

namespace hot_backup {

// The whole: its parts and where they are, the nodes that are missing, the queues, as far as this
// repository has them. Error usage: a list that only a part has is asked for.
void show_cluster(const Repository& repository, const std::string& cluster_id,
                  const Arguments& arguments, Output& output);

// Whether the backup is protected and when it was verified, for people.
void show_marks(const Marks& marks, Output& output);

}  // namespace hot_backup
