#include "sidecar/cli/cluster_output.hpp"

#include "sidecar/cli/output.hpp"
#include "sidecar/repository/summary_fields.hpp"

namespace hot_backup {
namespace {

OrderedJson to_json(const ClusterPart& part) {
    return {{"node", part.node},
            {"backup", part.backup},
            {"repository", part.repository},
            {"path", part.path},
            {"host", part.host},
            {"metadata", part.metadata},
            {"rabbitmq_version", part.rabbitmq_version},
            {"files", part.files},
            {"bytes", part.bytes},
            {"stored_bytes", part.stored_bytes},
            {"pause_us", part.cut.pause_us},
            {"began_us", part.began_us},
            {"ended_us", part.ended_us}};
}

OrderedJson to_json(const MissingNode& missing) {
    OrderedJson json{{"node", missing.node}};
    if (missing.since) {
        json["since"] = to_text(*missing.since);
    }
    return json;
}

}  // namespace

OrderedJson to_json(const std::string& cluster_id, const ClusterManifest& manifest) {
    const auto& summary = manifest.summary;
    const std::chrono::duration<double> seconds = summary.finished - summary.started;
    OrderedJson json{{"backup", cluster_id},
                     {"kind", "cluster"},
                     {"cluster", summary.cluster},
                     {"coordinator", summary.coordinator},
                     {"started", to_text(summary.started)},
                     {"finished", to_text(summary.finished)},
                     {"instant", to_text(summary.instant)},
                     {"seconds", seconds.count()},
                     {"rabbitmq_version", summary.rabbitmq_version},
                     {"plugin_version", summary.plugin_version},
                     {"files", summary.files},
                     {"bytes", summary.bytes},
                     {"stored_bytes", summary.stored_bytes},
                     {"counts", hot_backup::to_json(summary.counts)}};
    if (const auto& messages = summary.messages) {
        json["messages"] = {{"queues", messages->queues},
                            {"ready", messages->ready},
                            {"unacknowledged", messages->unacknowledged},
                            {"bytes", messages->bytes}};
    }
    json["stop"] = {
        {"attempts", summary.stop.attempts},           {"pause_us", summary.stop.pause_us},
        {"overlap_us", summary.stop.overlap_us},       {"window_us", summary.stop.window_us},
        {"round_trip_us", summary.stop.round_trip_us}, {"proof", summary.stop.proof}};
    json["parts"] = OrderedJson::array();
    for (const auto& part : manifest.parts) {
        json["parts"].push_back(to_json(part));
    }
    json["missing"] = OrderedJson::array();
    for (const auto& missing : manifest.missing) {
        json["missing"].push_back(to_json(missing));
    }
    json["affected"] = manifest.affected.size();
    return json;
}

std::string describe_stop(const ClusterManifest& manifest) {
    const auto& stop = manifest.summary.stop;
    auto text = format_pause(stop.pause_us) + " at the most, all " +
                plural(manifest.parts.size(), "node", "nodes") + " still together";
    if (stop.overlap_us > 0) {
        text += " for " + format_pause(stop.overlap_us);
    }
    const auto proof = stop.proof == "both" ? "messages and clocks" : stop.proof;
    return text + " (proven by " + proof + "), " + plural(stop.attempts, "attempt", "attempts");
}

}  // namespace hot_backup
