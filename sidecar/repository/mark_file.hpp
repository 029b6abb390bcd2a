// A mark as a file: docs/format.md, "Marks". What the marks mean is in marks.hpp and
// backup_log.hpp.
#pragma once

#include "sidecar/json.hpp"
#include "sidecar/repository/repository.hpp"

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace hot_backup {

// The flock of repository.json: who writes or removes a mark holds it, and who takes away a
// manifest while it looks whether the backup is protected.
class MarksLock {
public:
    // Waits for at most `patience`; then Error locked. Error failed: the repository may only be
    // read. The file is neither made nor changed.
    explicit MarksLock(const Repository& repository,
                       std::chrono::milliseconds patience = std::chrono::seconds(10));

private:
    std::unique_ptr<OpenFile> file_;
};

// What the file is called until it is whole: "ID.protected.UUID.tmp".
inline constexpr std::string_view unfinished_mark = ".tmp";

// The name of the file: "ID.protected".
std::string mark_name(std::string_view backup_id, std::string_view mark);
Path mark_path(const Repository& repository, std::string_view backup_id, std::string_view mark);

// Replaces the mark, for who holds the lock; of a mark that was there before, the old or the new
// one survives a power cut. It is on stable storage when this returns. Error not_found: there is no
// such backup.
void write_mark(const Repository& repository, const MarksLock& lock, std::string_view backup_id,
                std::string_view mark, const std::vector<OrderedJson>& lines);
// The lines of a mark, at least one. Error not_found: there is none; damaged, failed: it cannot be
// read.
std::vector<Json> read_mark(const Repository& repository, std::string_view backup_id,
                            std::string_view mark);

}  // namespace hot_backup
