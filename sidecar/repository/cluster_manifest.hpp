// A cluster manifest: the nodes' parts that are one backup of a cluster, at one instant, and where
// each of them lies. docs/format.md, "CID.cluster".
//
// There is a copy in each repository that has a part. It is written when all parts are durable, so
// with it, and only with it, the parts are a backup. The reader is as strict as that of a manifest.
#pragma once

#include "sidecar/repository/manifest.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace hot_backup {

// How the nodes were held still together.
struct StopSummary {
    std::uint64_t attempts = 1;       // the last one included
    std::uint64_t pause_us = 0;       // the longest of a node
    std::uint64_t overlap_us = 0;     // for which all stood still at the same time
    std::uint64_t window_us = 0;      // for which a node waited for the others at the most
    std::uint64_t round_trip_us = 0;  // the largest median between two of them
    std::string proof;                // that they overlap, by "messages", "clocks" or "both"
    bool operator==(const StopSummary&) const = default;
};

struct ClusterSummary {
    std::string program;
    Timestamp started;
    Timestamp finished;
    Timestamp instant;             // a moment at which all nodes stood still
    std::string cluster;           // its name
    std::string coordinator;       // the node that was asked for the backup
    std::string rabbitmq_version;  // the highest, as the next one
    std::string plugin_version;
    std::string metadata_node;  // whose part has the metadata
    MetadataSummary metadata;
    Counts counts;
    std::optional<MessageTotals> messages;  // of all nodes
    StopSummary stop;
    std::uint64_t files = 0;  // this and the next two are sums of the parts: add_up()
    std::uint64_t bytes = 0;
    std::uint64_t stored_bytes = 0;
    std::vector<LogEvent> log;  // of its making; none where there is none
    bool operator==(const ClusterSummary&) const = default;
};

struct ClusterPart {
    std::string node;
    std::string backup;      // the part's ID
    std::string repository;  // the UUID of the one that it lies in
    std::string path;        // of that, on `host`, when it was made
    std::string host;
    Digest manifest_digest;  // in the seal of its manifest: the part is this one and no other
    std::uint64_t manifest_bytes = 0;
    bool metadata = false;  // whether it has the metadata of the cluster
    CutSummary cut;
    std::int64_t began_us = 0;  // when the node stood still, relative to the instant
    std::int64_t ended_us = 0;
    std::string rabbitmq_version;
    std::string erlang_version;
    std::string data_dir;
    std::uint64_t files = 0;
    std::uint64_t bytes = 0;
    std::uint64_t stored_bytes = 0;
    bool operator==(const ClusterPart&) const = default;
};

// A node of the cluster that is not in the backup.
struct MissingNode {
    std::string node;
    std::optional<Timestamp> since;  // it had not run; none: nobody knows
    std::string allowed_by;          // what said that it may be left out
    bool operator==(const MissingNode&) const = default;
};

// A queue that the backup may not have as it was, because of the nodes that are missing.
struct AffectedQueue {
    std::string vhost;
    std::string name;
    std::string type;
    std::string leader;  // its node
    std::vector<std::string> members;
    std::uint64_t present = 0;  // how many of these are in the backup
    std::string effect;         // "lost", "no_quorum", "degraded": docs/format.md
    bool operator==(const AffectedQueue&) const = default;
};

struct ClusterManifest {
    ClusterSummary summary;
    std::vector<ClusterPart> parts;       // by node
    std::vector<MissingNode> missing;     // by node
    std::vector<AffectedQueue> affected;  // by vhost, name; only with missing nodes
    bool operator==(const ClusterManifest&) const = default;
};

// Puts parts, missing nodes and queues in order and fills in the sums of the parts.
void add_up(ClusterManifest& manifest);

// The whole file, sealed. `cluster_id` is the ID of the cluster backup. Error failed: it is none
// that the reader would accept.
std::string to_text(const ClusterManifest& manifest, std::string_view cluster_id);

// Of the bytes of such a file. Error damaged: they are not what was written; failed: a newer
// version wrote them. `name` is what the errors call them.
ClusterManifest parse_cluster_manifest(std::string text, std::string_view cluster_id,
                                       const Path& name);
// Of a file. Error not_found: there is none; else as above.
ClusterManifest read_cluster_manifest(FileSystem& file_system, const Path& path,
                                      std::string_view cluster_id);

}  // namespace hot_backup
