#include "sidecar/repository/cluster_manifest.hpp"

#include "sidecar/repository/identifier.hpp"
#include "sidecar/repository/summary_fields.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <set>
#include <tuple>

namespace hot_backup {
namespace {

constexpr std::string_view format = "rabbitmq-hot-backup cluster";
constexpr unsigned version = 1;

// Writing. Keys appear in the order of docs/format.md.

OrderedJson to_json(const StopSummary& stop) {
    return {{"attempts", stop.attempts},     {"pause_us", stop.pause_us},
            {"overlap_us", stop.overlap_us}, {"window_us", stop.window_us},
            {"proof", stop.proof},           {"round_trip_us", stop.round_trip_us}};
}

OrderedJson to_json(const ClusterSummary& summary) {
    OrderedJson json{{"program", summary.program},
                     {"started", to_text(summary.started)},
                     {"finished", to_text(summary.finished)},
                     {"instant", to_text(summary.instant)},
                     {"cluster", summary.cluster},
                     {"coordinator", summary.coordinator},
                     {"rabbitmq_version", summary.rabbitmq_version},
                     {"plugin_version", summary.plugin_version},
                     {"metadata", hot_backup::to_json(summary.metadata)},
                     {"counts", hot_backup::to_json(summary.counts)}};
    json["metadata"]["node"] = summary.metadata_node;
    if (summary.messages) {
        json["messages"] = hot_backup::to_json(*summary.messages);
    }
    json["stop"] = to_json(summary.stop);
    json["files"] = summary.files;
    json["bytes"] = summary.bytes;
    json["stored_bytes"] = summary.stored_bytes;
    for (const LogEvent& event : summary.log) {
        json["log"].push_back(hot_backup::to_json(event));
    }
    return json;
}

OrderedJson to_json(const ClusterPart& part) {
    OrderedJson json{{"node", part.node},
                     {"backup", part.backup},
                     {"repository", part.repository},
                     {"path", part.path},
                     {"host", part.host},
                     {"manifest_xxh3_128", part.manifest_digest.hex()},
                     {"manifest_bytes", part.manifest_bytes},
                     {"metadata", part.metadata},
                     {"cut", hot_backup::to_json(part.cut)},
                     {"rabbitmq_version", part.rabbitmq_version},
                     {"erlang_version", part.erlang_version},
                     {"data_dir", part.data_dir},
                     {"files", part.files},
                     {"bytes", part.bytes},
                     {"stored_bytes", part.stored_bytes}};
    json["cut"]["began_us"] = part.began_us;
    json["cut"]["ended_us"] = part.ended_us;
    return json;
}

OrderedJson to_json(const MissingNode& missing) {
    OrderedJson json{{"node", missing.node}, {"since", nullptr}};
    if (missing.since) {
        json["since"] = to_text(*missing.since);
    }
    json["allowed_by"] = missing.allowed_by;
    return json;
}

OrderedJson to_json(const AffectedQueue& queue) {
    return {{"vhost", queue.vhost},   {"name", queue.name},       {"type", queue.type},
            {"leader", queue.leader}, {"members", queue.members}, {"present", queue.present},
            {"effect", queue.effect}};
}

// Reading. Everything throws BadField.

const std::string& one_of(const Fields& fields, const char* key,
                          const std::array<std::string_view, 3>& words) {
    const std::string& text = fields.text(key);
    if (std::find(words.begin(), words.end(), text) == words.end()) {
        throw BadField('"' + std::string(key) + "\" is \"" + text + "\", which has no meaning");
    }
    return text;
}

StopSummary read_stop(const Fields& fields) {
    StopSummary stop;
    stop.attempts = fields.number("attempts");
    stop.pause_us = fields.number("pause_us");
    stop.overlap_us = fields.number("overlap_us");
    stop.window_us = fields.number("window_us");
    stop.round_trip_us = fields.number("round_trip_us");
    stop.proof = one_of(fields, "proof", {"messages", "clocks", "both"});
    return stop;
}

ClusterSummary read_summary(const Fields& fields) {
    ClusterSummary summary;
    summary.program = fields.text("program");
    summary.started = fields.time("started");
    summary.finished = fields.time("finished");
    summary.instant = fields.time("instant");
    summary.cluster = fields.text("cluster");
    summary.coordinator = fields.text("coordinator");
    summary.rabbitmq_version = fields.text("rabbitmq_version");
    summary.plugin_version = fields.text("plugin_version");
    const Fields metadata = fields.object("metadata");
    summary.metadata = read_metadata(metadata);
    summary.metadata_node = metadata.text("node");
    summary.counts = read_counts(fields.object("counts"));
    if (fields.has("messages")) {
        summary.messages = read_messages(fields.object("messages"));
    }
    summary.stop = read_stop(fields.object("stop"));
    summary.files = fields.number("files");
    summary.bytes = fields.number("bytes");
    summary.stored_bytes = fields.number("stored_bytes");
    if (fields.has("log")) {
        for (const Json& event : fields.array("log")) {
            summary.log.push_back(read_log_event(Fields(event)));
        }
    }
    return summary;
}

ClusterPart read_part(const Fields& fields) {
    ClusterPart part;
    part.node = fields.text("node");
    part.backup = fields.text("backup");
    part.repository = fields.text("repository");
    part.path = fields.text("path");
    part.host = fields.text("host");
    part.manifest_digest = fields.digest("manifest_xxh3_128");
    part.manifest_bytes = fields.number("manifest_bytes");
    part.metadata = fields.boolean("metadata");
    const Fields cut = fields.object("cut");
    part.cut = read_cut(cut);
    part.began_us = cut.offset("began_us");
    part.ended_us = cut.offset("ended_us");
    part.rabbitmq_version = fields.text("rabbitmq_version");
    part.erlang_version = fields.text("erlang_version");
    part.data_dir = fields.text("data_dir");
    part.files = fields.number("files");
    part.bytes = fields.number("bytes");
    part.stored_bytes = fields.number("stored_bytes");
    return part;
}

MissingNode read_missing(const Json& json) {
    const Fields fields(json);
    MissingNode missing;
    missing.node = fields.text("node");
    if (!fields.has("since") || !json.at("since").is_null()) {
        missing.since = fields.time("since");
    }
    missing.allowed_by = fields.text("allowed_by");
    return missing;
}

AffectedQueue read_affected(const Fields& fields) {
    AffectedQueue queue;
    queue.vhost = fields.text("vhost");
    queue.name = fields.text("name");
    queue.type = fields.text("type");
    queue.leader = fields.text("leader");
    for (const Json& member : fields.array("members")) {
        if (!member.is_string()) {
            throw BadField("the name of a member is not a string");
        }
        queue.members.push_back(member.get<std::string>());
    }
    queue.present = fields.number("present", queue.members.size());
    queue.effect = one_of(fields, "effect", {"lost", "no_quorum", "degraded"});
    return queue;
}

// A line that holds one object under one of these names; they come in this order.
void read_line(const Json& json, ClusterManifest& manifest) {
    const Fields line(json);
    const auto refuse_after = [](bool later_came) {
        if (later_came) {
            throw BadField("its lines are out of order");
        }
    };
    if (line.has("part")) {
        refuse_after(!manifest.missing.empty() || !manifest.affected.empty());
        manifest.parts.push_back(read_part(line.object("part")));
    } else if (line.has("missing")) {
        refuse_after(!manifest.affected.empty());
        static_cast<void>(line.object("missing"));
        manifest.missing.push_back(read_missing(json.at("missing")));
    } else {
        manifest.affected.push_back(read_affected(line.object("affected")));
    }
}

// By what the lines are ordered.
const std::string& order_of(const ClusterPart& part) {
    return part.node;
}
const std::string& order_of(const MissingNode& missing) {
    return missing.node;
}
std::tuple<const std::string&, const std::string&> order_of(const AffectedQueue& queue) {
    return std::tie(queue.vhost, queue.name);
}

template <class Line>
void sort_lines(std::vector<Line>& lines) {
    std::sort(lines.begin(), lines.end(),
              [](const Line& a, const Line& b) { return order_of(a) < order_of(b); });
}

template <class Line>
void check_order(const std::vector<Line>& lines, const char* what) {
    for (std::size_t i = 1; i < lines.size(); ++i) {
        if (!(order_of(lines[i - 1]) < order_of(lines[i]))) {
            throw BadField(std::string(what) + " are out of order, or one comes twice");
        }
    }
}

void check_part(const ClusterPart& part, const ClusterManifest& manifest,
                std::string_view cluster_id) {
    if (!is_backup_id(part.backup) || part.backup <= cluster_id) {
        throw BadField('"' + part.backup + "\" is not the ID of a part of it");
    }
    if (part.metadata != (part.node == manifest.summary.metadata_node)) {
        throw BadField("it does not agree with itself about which part has the metadata");
    }
    if (part.began_us > part.ended_us) {
        throw BadField("node " + part.node + " went on before it stood still");
    }
    for (const MissingNode& missing : manifest.missing) {
        if (missing.node == part.node) {
            throw BadField("node " + part.node + " is missing and has a part");
        }
    }
}

void check(const ClusterManifest& manifest, std::string_view cluster_id) {
    if (manifest.parts.empty()) {
        throw BadField("it has no parts");
    }
    check_order(manifest.parts, "its parts");
    check_order(manifest.missing, "its missing nodes");
    check_order(manifest.affected, "its affected queues");
    if (manifest.missing.empty() && !manifest.affected.empty()) {
        throw BadField("queues are affected, and no node is missing");
    }
    ClusterSummary sums;
    bool has_metadata = false;
    std::set<std::pair<std::string_view, std::string_view>> places;
    for (const ClusterPart& part : manifest.parts) {
        check_part(part, manifest, cluster_id);
        has_metadata = has_metadata || part.metadata;
        sums.files += part.files;
        sums.bytes += part.bytes;
        sums.stored_bytes += part.stored_bytes;
        if (!places.emplace(part.repository, part.backup).second) {
            throw BadField("two nodes have the same part");
        }
    }
    if (!has_metadata) {
        throw BadField("no part has the metadata");
    }
    if (sums.files != manifest.summary.files || sums.bytes != manifest.summary.bytes ||
        sums.stored_bytes != manifest.summary.stored_bytes) {
        throw BadField("its parts do not add up to its summary");
    }
}

ClusterManifest read_all(SealedTextReader& text, std::string_view cluster_id) {
    try {
        const Json first = parse_object(read_format_line(text, format, version));
        if (Fields(first).text("backup") != cluster_id) {
            throw BadField("it is the manifest of another cluster backup");
        }
        ClusterManifest manifest;
        const auto line = text.next_line();
        if (!line) {
            throw BadField("it has no summary");
        }
        const Json second = parse_object(*line);
        manifest.summary = read_summary(Fields(second).object("summary"));
        while (const auto next = text.next_line()) {
            read_line(parse_object(*next), manifest);
        }
        check(manifest, cluster_id);
        return manifest;
    } catch (const BadField& bad) {
        throw text.damaged(bad.what());
    }
}

}  // namespace

void add_up(ClusterManifest& manifest) {
    sort_lines(manifest.parts);
    sort_lines(manifest.missing);
    sort_lines(manifest.affected);
    ClusterSummary& summary = manifest.summary;
    summary.files = summary.bytes = summary.stored_bytes = 0;
    for (const ClusterPart& part : manifest.parts) {
        summary.files += part.files;
        summary.bytes += part.bytes;
        summary.stored_bytes += part.stored_bytes;
    }
}

std::string to_text(const ClusterManifest& manifest, std::string_view cluster_id) {
    std::string text;
    const auto add = [&](const OrderedJson& line) { text += to_line(line) + '\n'; };
    add({{"format", format}, {"version", version}, {"backup", cluster_id}});
    add({{"summary", to_json(manifest.summary)}});
    for (const ClusterPart& part : manifest.parts) {
        add({{"part", to_json(part)}});
    }
    for (const MissingNode& missing : manifest.missing) {
        add({{"missing", to_json(missing)}});
    }
    for (const AffectedQueue& queue : manifest.affected) {
        add({{"affected", to_json(queue)}});
    }
    text = seal(std::move(text));
    try {
        parse_cluster_manifest(text, cluster_id, "the manifest of the cluster backup");
    } catch (const Error& error) {
        throw Error(ErrorCode::failed,
                    "cluster backup " + std::string(cluster_id) +
                        " is not published, because it could not be read: " + error.what(),
                    "Report this: it is a mistake in rabbitmq-hot-backup.");
    }
    return text;
}

ClusterManifest parse_cluster_manifest(std::string text, std::string_view cluster_id,
                                       const Path& name) {
    SealedTextReader reader(name, std::move(text));
    return read_all(reader, cluster_id);
}

ClusterManifest read_cluster_manifest(FileSystem& file_system, const Path& path,
                                      std::string_view cluster_id) {
    SealedTextReader reader(file_system, path);
    return read_all(reader, cluster_id);
}

}  // namespace hot_backup
