// What a manifest says of the files of an image.
#pragma once

#include "sidecar/capture/watched_tree.hpp"

namespace hot_backup {

FileEntry file_entry(std::string path, std::string origin, const FileCopy& copy);

// Of the directories of the tree and all that is in them. Every file has a copy.
void add_entries(const WatchedTree& tree, std::vector<FileEntry>& entries);

}  // namespace hot_backup
