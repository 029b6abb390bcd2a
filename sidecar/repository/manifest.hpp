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

// One node's share of a cluster backup. It is a backup only together with the manifest of the
// cluster backup: cluster_manifest.hpp.
struct PartSummary {
    std::string cluster_backup;  // the ID of the cluster backup
    std::string node;
    bool metadata = false;  // whether the metadata of the cluster is in this part
    bool operator==(const PartSummary&) const = default;
};

inline constexpr std::string_view part_kind = "part";

struct Summary {
    std::string program;
    std::string kind = "full";  // of a part: part_kind
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
    std::optional<PartSummary> part;  // none: a backup of its own
    MetadataSummary metadata;         // this and the counts only where has_metadata()
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

// All but a part that leaves the metadata to another one.
bool has_metadata(const Summary& summary);

// The summary as one line of JSON, as the manifest has it: for who makes the manifest of a cluster
// backup, from the summaries of its parts.
std::string summary_text(const Summary& summary);
// Throws BadField.
Summary parse_summary(std::string_view text, std::string_view backup_id);

// What the first line of a manifest says without the rest.
struct ManifestHead {
    std::string cluster_backup;  // of a part; else empty
};
// Such a line is shorter than this.
inline constexpr std::size_t longest_manifest_head = 512;
// Nothing when it is no such line.
std::optional<ManifestHead> parse_manifest_head(std::string_view line);

class ManifestWriter {
public:
    // Writes a part where the summary is that of one.
    ManifestWriter(OpenFile& file, std::string_view backup_id, const Summary& summary);

    // In order of path.
    void write_file(const FileEntry& entry);
    // Seals and syncs. Returns the digest in the seal: two manifests that have the same are the
    // same.
    Digest finish() { return text_.seal(); }

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
