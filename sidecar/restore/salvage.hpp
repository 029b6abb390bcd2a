// What is kept of a node when some of its files are damaged.
//
// A broker takes each of its files for whole. What it does about one that is not depends on the
// file: a shorter message store loses the messages that were in the rest, a Raft log with a gap
// keeps its queue from starting. So with a damaged file goes what could not be used without it, and
// no more. The table of these rules is in salvage.cpp, each with its reason.
#pragma once

#include "sidecar/restore/content_writer.hpp"
#include "sidecar/restore/restore.hpp"

namespace hot_backup {

// Cuts off or removes what belongs to damaged files, in a data directory that nobody uses. Returns
// what is lost, in order of path: the damaged files, and those that went with them.
std::vector<LostFile> give_up(const std::vector<DamagedFile>& damaged);

}  // namespace hot_backup
