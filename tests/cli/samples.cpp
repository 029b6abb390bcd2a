#include "tests/cli/samples.hpp"

#include "sidecar/engine/stored_snapshot.hpp"
#include "sidecar/engine/stored_statistics.hpp"
#include "tests/definitions/snapshot_builder.hpp"

#include <fstream>
#include <iterator>

namespace cli_test {

using namespace hot_backup;

std::string make_backup(const std::filesystem::path& directory, const Sample& sample) {
    const auto repository = Repository::open_or_create(posix_file_system(), directory);
    const Lock lock(posix_file_system(), directory, "create");
    const auto instant = *parse_timestamp(sample.instant);
    BackupWriter writer(repository, lock, instant);
    const auto add = [&](std::string_view path, const char* kind, std::string_view content) {
        auto file = writer.add_file(std::string(path), kind);
        file.append(content);
        file.close();
    };
    add(snapshot_path, "metadata",
        snapshot_builder::chunk(
            {snapshot_builder::in_table("rabbit_vhost", snapshot_builder::vhost("/"))}));
    add(statistics_path, "statistics", "");
    const Extent extent = writer.store(sample.content);
    writer.add_entry({"data", "directory", 0, Origin{"/node", 0750, instant}, {}, {}});
    writer.add_entry(
        {"data/0.rdq", "data", extent.size, Origin{"/node/0.rdq", 0640, instant}, {extent}, {}});
    Summary summary;
    summary.node = sample.node;
    summary.rabbitmq_version = "3.10.8";
    summary.instant = instant;
    summary.data_dir = "/node";
    summary.counts.queues = 2;
    summary.messages = MessageTotals{2, 1200, 34, 56'700'000, instant};
    summary.cut = CutSummary{900, 5200, 6100, 1, 3, 12, 4096, 70000};
    writer.publish(summary, instant + std::chrono::milliseconds{1500});
    return writer.id();
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
