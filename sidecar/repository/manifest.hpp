// A manifest: what one backup holds and where it lies. docs/format.md, "ID.manifest".
//
// The reader is strict: it accepts what the format allows and nothing else, except for keys that it
// does not know, which it ignores. Both sides hold one file's line at a time.
#pragma once

#include "sidecar/repository/backup_log.hpp"
#include "sidecar/repository/file_entry.hpp"
#include "sidecar/repository/sealed_text.hpp"
#include "sidecar/repository/timestamp.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace hot_backup {

struct PluginVersion {
    std::string name;
    std::string version;
    bool operator==(const PluginVersion&) const = default;
};

struct SkippedTable {
    std::string table;
    std::string reason;
    bool operator==(const SkippedTable&) const = default;
};

struct MetadataSummary {
    std::string store;  // "mnesia" or "khepri"
    std::uint64_t activation_us = 0;
    std::uint64_t messages = 0;
    std::uint64_t items = 0;
    std::vector<std::string> tables;
    std::vector<SkippedTable> skipped;
    bool operator==(const MetadataSummary&) const = default;
};

struct Counts {
    std::uint64_t vhosts = 0;
    std::uint64_t users = 0;
    std::uint64_t queues = 0;
    std::uint64_t exchanges = 0;
    std::uint64_t bindings = 0;
    std::uint64_t policies = 0;
    bool operator==(const Counts&) const = default;
};

// What the node itself had counted in its queues: the sums of statistics/queues.
struct MessageTotals {
    std::uint64_t queues = 0;  // that it knew the messages of
    std::uint64_t ready = 0;
    std::uint64_t unacknowledged = 0;
    std::uint64_t bytes = 0;  // of both
    Timestamp counted;        // when it was asked
    bool operator==(const MessageTotals&) const = default;
};

// How the files were copied, and how long nothing of the node ran for it.
struct CutSummary {
    std::uint64_t acquisition_us = 0;  // until everything stood still
    std::uint64_t hold_us = 0;         // how long it stood
    std::uint64_t pause_us = 0;        // both: what clients may have felt
    std::uint64_t attempts = 1;        // stops, the last one included
    std::uint64_t passes = 0;          // copies of what had changed, before the stop
    std::uint64_t files = 0;           // looked at within the stop
    std::uint64_t memory_bytes = 0;    // read within the stop
    std::uint64_t tail_bytes = 0;      // read after it
    bool operator==(const CutSummary&) const = default;
};

struct PackSize {
    std::string name;
    std::uint64_t bytes = 0;
    bool operator==(const PackSize&) const = default;
};

struct Summary {
    std::string program;
    std::string kind = "full";
    Timestamp started;
    Timestamp finished;
    Timestamp instant;
    std::string node;
    std::string cluster;
    std::string rabbitmq_version;
    std::string erlang_version;
    std::string plugin_version;
    std::vector<PluginVersion> plugins;
    std::string data_dir;
    MetadataSummary metadata;
    Counts counts;
    std::optional<MessageTotals> messages;
    std::optional<CutSummary> cut;  // a backup without one holds no messages
    std::uint64_t files = 0;
    std::uint64_t bytes = 0;
    std::uint64_t stored_bytes = 0;
    std::vector<PackSize> packs;
    std::vector<LogEvent> log;  // of its making; none where the manifest has none
    bool operator==(const Summary&) const = default;
};

class ManifestWriter {
public:
    ManifestWriter(OpenFile& file, std::string_view backup_id, const Summary& summary);

    // In order of path.
    void write_file(const FileEntry& entry);
    // Seals and syncs.
    void finish() { text_.seal(); }

private:
    SealedTextWriter text_;
};

class ManifestReader {
public:
    // Checks the seal and reads the summary. Error not_found: no such manifest; damaged: it is not
    // what was written; failed: a newer version wrote it.
    ManifestReader(FileSystem& file_system, const Path& path, std::string backup_id);

    const std::string& backup_id() const noexcept { return backup_id_; }
    const Summary& summary() const noexcept { return summary_; }
    // The path of the manifest itself.
    const Path& path() const noexcept { return text_.path(); }

    // The next file, in order of path; nothing after the last one, when all of them add up to what
    // the summary says.
    std::optional<FileEntry> next_file();

private:
    SealedTextReader text_;
    std::string backup_id_;
    Summary summary_;
    std::string last_path_;
    std::uint64_t files_ = 0;
    std::uint64_t bytes_ = 0;
    std::uint64_t stored_bytes_ = 0;
};

}  // namespace hot_backup
