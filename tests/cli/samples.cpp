#include "tests/cli/samples.hpp"

#include "sidecar/engine/stored_snapshot.hpp"
#include "sidecar/engine/stored_statistics.hpp"
#include "tests/definitions/snapshot_builder.hpp"
#include "tests/repository/cluster_sample.hpp"

#include <fstream>
#include <iterator>

namespace cli_test {

using namespace hot_backup;

namespace {

void add_file(BackupWriter& writer, std::string_view path, const char* kind,
              std::string_view content) {
    auto file = writer.add_file(std::string(path), kind);
    file.append(content);
    file.close();
}

void add_metadata(BackupWriter& writer) {
    add_file(writer, snapshot_path, "metadata",
             snapshot_builder::chunk(
                 {snapshot_builder::in_table("rabbit_vhost", snapshot_builder::vhost("/"))}));
}

void add_data(BackupWriter& writer, std::string_view content, Timestamp instant) {
    add_file(writer, statistics_path, "statistics", "");
    const Extent extent = writer.store(content);
    writer.add_entry({"data", "directory", 0, Origin{"/node", 0750, instant}, {}, {}});
    writer.add_entry(
        {"data/0.rdq", "data", extent.size, Origin{"/node/0.rdq", 0640, instant}, {extent}, {}});
}

Summary summary_of(const std::string& node, Timestamp instant) {
    Summary summary;
    summary.node = node;
    summary.rabbitmq_version = "3.10.8";
    summary.instant = instant;
    summary.data_dir = "/node";
    summary.counts.queues = 2;
    summary.messages = MessageTotals{2, 1200, 34, 56'700'000, instant};
    summary.cut = CutSummary{900, 5200, 6100, 1, 3, 12, 4096, 70000};
    return summary;
}

}  // namespace

std::string make_backup(const std::filesystem::path& directory, const Sample& sample) {
    const auto repository = Repository::open_or_create(posix_file_system(), directory);
    const Lock lock(posix_file_system(), directory, "create");
    const auto instant = *parse_timestamp(sample.instant);
    BackupWriter writer(repository, lock, instant);
    add_metadata(writer);
    add_data(writer, sample.content, instant);
    writer.publish(summary_of(sample.node, instant), instant + std::chrono::milliseconds{1500});
    return writer.id();
}

ClusterPart make_part(const std::filesystem::path& directory, const std::string& cluster_id,
                      const std::string& node, bool metadata) {
    const auto repository = Repository::open_or_create(posix_file_system(), directory);
    const Lock lock(posix_file_system(), directory, "create");
    const auto instant = repository_test::sample_time();
    BackupWriter::Options options;
    options.cluster_backup = cluster_id;
    BackupWriter writer(repository, lock, instant, options);
    if (metadata) {
        add_metadata(writer);
    }
    add_data(writer, node, instant);
    auto summary = summary_of(node, instant);
    summary.part = PartSummary{cluster_id, node, metadata};
    summary = writer.publish(summary, instant + std::chrono::milliseconds{1500});
    return repository_test::part_of(repository, writer, summary);
}

void publish_parts(const std::filesystem::path& directory, const std::string& cluster_id,
                   const std::vector<ClusterPart>& parts) {
    repository_test::publish_sample(Repository::open(posix_file_system(), directory), parts,
                                    cluster_id);
}

std::string read_file(const std::filesystem::path& path) {
    std::ifstream stream(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
}

void flip_last_bit(const std::filesystem::path& path) {
    auto content = read_file(path);
    content.back() = static_cast<char>(content.back() ^ 1);
    std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
}

}  // namespace cli_test
