// What the tests of the repository store: the same small backup again and again.
#pragma once

#include "sidecar/repository/backup_writer.hpp"
#include "sidecar/repository/file_reader.hpp"
#include "sidecar/repository/verify.hpp"

#include <map>
#include <string>

namespace repository_test {

using hot_backup::BackupWriter;
using hot_backup::Repository;
using hot_backup::Timestamp;

// 2026-11-22 07:32:41.512 UTC.
Timestamp sample_time();

// What a node would have said.
hot_backup::Summary sample_summary();

// Path to content: one file of several extents, a small one, an empty one.
std::map<std::string, std::string> sample_files();

// `size` bytes that differ from place to place.
std::string sample_bytes(std::size_t size, unsigned seed = 1);

// Small enough that the sample files fill several extents and packs.
BackupWriter::Options sample_options();

// Takes the lock, writes sample_files() and publishes. Returns the ID.
std::string write_sample(const Repository& repository, Timestamp started = sample_time());

// Every file of a backup, read through FileReader.
std::map<std::string, std::string> read_backup(const Repository& repository,
                                               const std::string& backup_id);

// Runs `action`, which must throw hot_backup::Error, and returns that.
template <class Action>
hot_backup::Error error_of(Action&& action) {
    try {
        action();
    } catch (const hot_backup::Error& error) {
        return error;
    }
    throw std::logic_error("no Error was thrown");
}

// Whether the text has the part in it; for messages of REQUIRE.
inline bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace repository_test
