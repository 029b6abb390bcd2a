#include "sidecar/engine/cluster.hpp"

#include "sidecar/engine/affected_queues.hpp"
#include "sidecar/engine/version.hpp"
#include "sidecar/rabbitmq_version.hpp"
#include "sidecar/repository/json_fields.hpp"

#include <algorithm>

namespace hot_backup {
namespace {

constexpr std::string_view part_said = "description of a part";

// When a node stood still, relative to the instant.
struct Held {
    std::string node;
    std::int64_t began_us = 0;
    std::int64_t ended_us = 0;
};

std::int64_t signed_integer(const MapFields& fields, std::string_view key) {
    const auto* found = fields.find(key);
    const auto* value = found ? found->as<std::int64_t>() : nullptr;
    if (!value) {
        MapFields::throw_unexpected("times of a stop", key);
    }
    return *value;
}

std::vector<Held> held_nodes(const MapFields& stop) {
    std::vector<Held> nodes;
    for (const auto& node : stop.maps("nodes")) {
        nodes.push_back({node.text("node"), signed_integer(node, "began_us"),
                         signed_integer(node, "ended_us")});
    }
    return nodes;
}

StopSummary stop_summary(const MapFields& stop) {
    return {.attempts = stop.count("attempts"),
            .pause_us = stop.count("pause_us"),
            .overlap_us = stop.count("overlap_us"),
            .window_us = stop.count("window_us"),
            .round_trip_us = stop.count("round_trip_us"),
            .proof = stop.text("proof")};
}

Summary summary_of(const MapFields& part) {
    const auto backup = part.text("backup");
    try {
        return parse_summary(part.text("summary"), backup);
    } catch (const BadField&) {
        MapFields::throw_unexpected(part_said, "summary");
    }
}

ClusterPart describe(const MapFields& part, const Summary& summary, const std::vector<Held>& held) {
    const auto digest = Digest::from_hex(part.text("manifest_xxh3_128"));
    if (!digest || !summary.part || !summary.cut) {
        MapFields::throw_unexpected(part_said, "manifest_xxh3_128");
    }
    ClusterPart described{.node = part.text("node"),
                          .backup = part.text("backup"),
                          .repository = part.text("repository"),
                          .path = part.text("path"),
                          .host = part.text("host"),
                          .manifest_digest = *digest,
                          .manifest_bytes = part.count("manifest_bytes"),
                          .metadata = summary.part->metadata,
                          .cut = *summary.cut,
                          .rabbitmq_version = summary.rabbitmq_version,
                          .erlang_version = summary.erlang_version,
                          .data_dir = summary.data_dir,
                          .files = summary.files,
                          .bytes = summary.bytes,
                          .stored_bytes = summary.stored_bytes};
    const auto stood = std::ranges::find(held, described.node, &Held::node);
    if (stood == held.end()) {
        MapFields::throw_unexpected("times of a stop", described.node);
    }
    described.began_us = stood->began_us;
    described.ended_us = stood->ended_us;
    return described;
}

void add(std::optional<MessageTotals>& sum, const std::optional<MessageTotals>& totals) {
    if (!totals) {
        return;
    }
    if (!sum) {
        sum = totals;
        return;
    }
    sum->queues += totals->queues;
    sum->ready += totals->ready;
    sum->unacknowledged += totals->unacknowledged;
    sum->bytes += totals->bytes;
    sum->counted = std::min(sum->counted, totals->counted);
}

std::string newer(const std::string& one, const std::string& other) {
    return RabbitmqVersion::of(one) < RabbitmqVersion::of(other) ? other : one;
}

}  // namespace

ClusterManifest compose(const MapFields& publish, const PartOrder& order) {
    ClusterManifest manifest;
    auto& whole = manifest.summary;
    const auto stop = publish.object("stop");
    const auto held = held_nodes(stop);
    whole.program = program_version;
    whole.coordinator = order.coordinator;
    whole.instant = stop.time("instant");
    whole.finished = now();
    whole.started = whole.finished;
    whole.stop = stop_summary(stop);
    for (const auto& part : publish.maps("parts")) {
        const auto summary = summary_of(part);
        manifest.parts.push_back(describe(part, summary, held));
        whole.cluster = summary.cluster;
        whole.started = std::min(whole.started, summary.started);
        whole.rabbitmq_version = newer(whole.rabbitmq_version, summary.rabbitmq_version);
        whole.plugin_version = newer(whole.plugin_version, summary.plugin_version);
        add(whole.messages, summary.messages);
        if (has_metadata(summary)) {
            whole.metadata_node = summary.node;
            whole.metadata = summary.metadata;
            whole.counts = summary.counts;
            manifest.affected = read_affected(part);
        }
    }
    for (const auto& node : publish.maps("missing")) {
        manifest.missing.push_back(
            {.node = node.text("node"),
             .since = node.find("since") ? std::optional(node.time("since")) : std::nullopt,
             .allowed_by = "--allow-missing"});
    }
    add_up(manifest);
    return manifest;
}

}  // namespace hot_backup
