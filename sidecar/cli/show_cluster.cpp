#include "sidecar/cli/show_cluster.hpp"

#include "sidecar/cli/cluster_output.hpp"
#include "sidecar/cli/cluster_parts_output.hpp"
#include "sidecar/cli/commands.hpp"
#include "sidecar/cli/marks_output.hpp"
#include "sidecar/cli/show_list.hpp"
#include "sidecar/cli/show_queues.hpp"

#include <algorithm>

namespace hot_backup {
namespace {

void print_summary(const std::string& id, const ClusterManifest& manifest, Output& output) {
    const auto& summary = manifest.summary;
    output.line("backup      " + id + " (cluster of " + std::to_string(manifest.parts.size()) +
                ")");
    output.line("cluster     " + printable(summary.cluster) + ", backed up through " +
                printable(summary.coordinator));
    output.line("instant     " + to_text(summary.instant));
    output.line("made        " + to_text(summary.started) + " to " + to_text(summary.finished) +
                ", by version " + printable(summary.program));
    output.line("versions    RabbitMQ " + printable(summary.rabbitmq_version) + ", plugin " +
                printable(summary.plugin_version));
    output.line("size        " + format_bytes(summary.bytes) + " in " +
                std::to_string(summary.files) + " files; " + format_bytes(summary.stored_bytes) +
                " stored");
    output.line("pause       " + describe_stop(manifest));
    output.line("metadata    " + printable(summary.metadata.store) + " of " +
                printable(summary.metadata_node) + ": " + describe_counts(summary.counts));
}

void print_missing(const ClusterManifest& manifest, Output& output) {
    for (const auto& missing : manifest.missing) {
        output.line("missing     " + printable(missing.node) +
                    (missing.since ? ", which did not run since " + to_text(*missing.since)
                                   : ", which did not run"));
    }
    for (const auto& queue : manifest.affected) {
        output.line("  " + pad(queue.effect, 10) + printable(queue.name) + "  in " +
                    printable(queue.vhost) + ": " + printable(queue.type) + ", " +
                    std::to_string(queue.present) + " of " +
                    plural(queue.members.size(), "member", "members") + " in the backup");
    }
}

OrderedJson affected_json(const ClusterManifest& manifest) {
    auto list = OrderedJson::array();
    for (const auto& queue : manifest.affected) {
        list.push_back({{"vhost", queue.vhost},
                        {"name", queue.name},
                        {"type", queue.type},
                        {"leader", queue.leader},
                        {"members", queue.members},
                        {"present", queue.present},
                        {"effect", queue.effect}});
    }
    return list;
}

// Nothing when the part with the metadata is not in this repository.
std::optional<std::vector<StoredVhost>> read_queues(const Repository& repository,
                                                    const std::string& id,
                                                    const std::vector<PlacedPart>& parts,
                                                    const Arguments& arguments) {
    const bool has_them = std::any_of(parts.begin(), parts.end(), [](const PlacedPart& placed) {
        return placed.part.metadata && placed.state == PartState::here;
    });
    if (!has_them) {
        return std::nullopt;
    }
    return read_vhosts(repository, id, arguments.show.vhost);
}

}  // namespace

void show_cluster(const Repository& repository, const std::string& cluster_id,
                  const Arguments& arguments, Output& output) {
    const auto& wanted = arguments.show;
    if (!wanted.list.empty()) {
        show_list(repository, cluster_id, wanted, output);
        return;
    }
    const auto manifest = repository.read_cluster(cluster_id);
    const auto marks = read_marks(repository, cluster_id);
    const std::vector<Repository> at_hand{repository};
    const auto parts = place_parts(at_hand, cluster_id, manifest);
    print_summary(cluster_id, manifest, output);
    show_marks(marks, output);
    output.line("parts");
    print_parts(parts, output);
    print_missing(manifest, output);

    const bool with_queues =
        std::find(wanted.without.begin(), wanted.without.end(), "queues") == wanted.without.end();
    const auto vhosts = read_queues(repository, cluster_id, parts, arguments);
    if (!vhosts) {
        output.line("queues      in the repository of " +
                    printable(manifest.summary.metadata_node));
    } else if (with_queues) {
        print_vhosts(*vhosts, arguments.all, output);
    } else {
        print_vhost_totals(*vhosts, output);
    }
    if (output.json()) {
        auto json = to_json(cluster_id, manifest);
        add_states(json, parts);
        add_marks(json, marks);
        json["affected_queues"] = affected_json(manifest);
        if (vhosts) {
            json["vhosts"] = to_json(*vhosts, with_queues ? QueueList::with : QueueList::without);
        }
        output.summary(std::move(json));
    }
}

}  // namespace hot_backup
