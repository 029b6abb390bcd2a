// What a restore does to the disk, in single steps that do all of their work or throw Error
// (failed): with the path, what the system said, and what the operator can do about it.
#pragma once

#include "sidecar/repository/descriptor.hpp"
#include "sidecar/repository/file_system.hpp"

#include <sys/types.h>

#include <string_view>

namespace hot_backup {

// For a system call of this restore that failed with `number`: "cannot <action> <path>: <reason>".
Error target_error(int number, std::string_view action, const Path& path);

// Whatever it is; a symbolic link itself.
bool is_there(const Path& path);

void make_directory(const Path& path);
void make_link(const Path& path, const std::string& target);
Descriptor open_target(const Path& path, int flags);
void write_at(const Descriptor& file, std::string_view bytes, std::uint64_t offset,
              const Path& path);
std::string read_target(const Path& path);

void sync_target(const Path& path);
// All that was written to the file system of `file`, in one commit of its journal. Before Linux 5.8
// the system does not say when a write has failed: then sync_tree() has to follow.
void sync_file_system(const Descriptor& file, const Path& path);
bool sync_file_system_reports_errors(std::string_view kernel_release);
std::string kernel_release();
// Each file and directory by itself. Of one that was written to and could not be stored, this says
// so.
void sync_tree(const Path& path);

// Fails where `to` is taken, but for an empty directory that a directory replaces.
void rename_target(const Path& from, const Path& to);

// Also what directories without permissions hold. Does nothing where there is nothing.
void remove_tree(const Path& path);

}  // namespace hot_backup
