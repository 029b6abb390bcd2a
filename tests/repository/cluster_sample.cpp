#include "tests/repository/cluster_sample.hpp"

namespace repository_test {

using namespace hot_backup;

Summary sample_part_summary(const std::string& node, bool metadata, const std::string& cluster_id) {
    Summary summary = sample_summary();
    summary.node = node;
    summary.cluster = "prod";
    summary.part = PartSummary{cluster_id, node, metadata};
    summary.cut = CutSummary{900, 5200, 6100, 1, 3, 12, 4096, 70000};
    if (!metadata) {
        summary.metadata = {};
        summary.counts = {};
    }
    return summary;
}

ClusterPart part_of(const Repository& repository, const BackupWriter& writer,
                    const Summary& summary) {
    ClusterPart part;
    part.node = summary.node;
    part.backup = writer.id();
    part.repository = repository.id();
    part.path = repository.directory();
    part.host = part.node.substr(part.node.find('@') + 1);
    part.manifest_digest = writer.published().digest;
    part.manifest_bytes = writer.published().bytes;
    part.metadata = summary.part->metadata;
    part.cut = *summary.cut;
    part.rabbitmq_version = summary.rabbitmq_version;
    part.erlang_version = summary.erlang_version;
    part.data_dir = summary.data_dir;
    part.files = summary.files;
    part.bytes = summary.bytes;
    part.stored_bytes = summary.stored_bytes;
    return part;
}

ClusterPart write_part(const Repository& repository, const std::string& node, bool metadata,
                       const std::string& cluster_id, const Lock* lock) {
    std::optional<Lock> own;
    if (lock == nullptr) {
        own.emplace(repository.file_system(), repository.directory(), "create");
        lock = &*own;
    }
    auto options = sample_options();
    options.cluster_backup = cluster_id;
    BackupWriter writer(repository, *lock, sample_time(), options);
    for (const auto& [path, content] : sample_files()) {
        if (metadata || !path.starts_with("metadata/")) {
            FileWriter file = writer.add_file(path, path.substr(0, path.find('/')));
            file.append(content);
            file.close();
        }
    }
    const Summary summary = writer.publish(sample_part_summary(node, metadata, cluster_id),
                                           sample_time() + std::chrono::seconds{1});
    auto part = part_of(repository, writer, summary);
    part.began_us = -3100;
    part.ended_us = 2100;
    return part;
}

ClusterManifest sample_cluster(std::vector<ClusterPart> parts) {
    ClusterManifest manifest;
    ClusterSummary& summary = manifest.summary;
    summary.program = "0.1.0";
    summary.started = sample_time();
    summary.instant = sample_time() + std::chrono::microseconds{1234};
    summary.finished = sample_time() + std::chrono::seconds{1};
    summary.cluster = "prod";
    summary.coordinator = parts.front().node;
    summary.rabbitmq_version = "3.10.8";
    summary.plugin_version = "0.1.0";
    for (const ClusterPart& part : parts) {
        if (part.metadata) {
            summary.metadata_node = part.node;
        }
    }
    const Summary of_node = sample_summary();
    summary.metadata = of_node.metadata;
    summary.counts = of_node.counts;
    summary.messages = MessageTotals{2, 1200, 34, 56'700'000, sample_time()};
    summary.stop = {1, 6100, 4200, 25000, 180, "messages"};
    manifest.parts = std::move(parts);
    add_up(manifest);
    return manifest;
}

void publish_sample(const Repository& repository, const std::vector<ClusterPart>& parts,
                    const std::string& cluster_id) {
    const Lock lock(repository.file_system(), repository.directory(), "create");
    repository.publish_cluster(lock, cluster_id, to_text(sample_cluster(parts), cluster_id));
}

std::vector<ClusterPart> write_cluster(const Repository& repository,
                                       const std::string& cluster_id) {
    std::vector<ClusterPart> parts;
    for (const char* node : {"rabbit@a", "rabbit@b", "rabbit@c"}) {
        parts.push_back(write_part(repository, node, parts.empty(), cluster_id));
    }
    publish_sample(repository, parts, cluster_id);
    return parts;
}

}  // namespace repository_test
