#include "tests/repository/sample.hpp"

namespace repository_test {

using namespace hot_backup;

Timestamp sample_time() {
    return *parse_timestamp("2026-11-22T07:32:41.512Z");
}

Summary sample_summary() {
    Summary summary;
    summary.program = "0.1.0";
    summary.instant = sample_time() + std::chrono::microseconds{1234};
    summary.node = "rabbit@here";
    summary.cluster = "rabbit@here";
    summary.rabbitmq_version = "3.10.8";
    summary.erlang_version = "25.2.3";
    summary.plugin_version = "0.1.0";
    summary.plugins = {{"rabbitmq_management", "3.10.8"}};
    summary.data_dir = "/var/lib/rabbitmq/mnesia/rabbit@here";
    summary.metadata = {"mnesia", 350, 3, 42, {"rabbit_durable_queue"}, {{"own", "local"}}};
    summary.counts = {1, 2, 3, 4, 5, 6};
    return summary;
}

std::string sample_bytes(std::size_t size, unsigned seed) {
    std::string bytes(size, '\0');
    std::uint32_t state = seed * 2654435761U + 1;
    for (char& byte : bytes) {
        state = state * 1664525U + 1013904223U;
        byte = static_cast<char>(state >> 24U);
    }
    return bytes;
}

std::map<std::string, std::string> sample_files() {
    return {{"metadata/snapshot", sample_bytes(300)},
            {"configuration/rabbitmq.conf", "listeners.tcp.default = 5672\n"},
            {"configuration/enabled_plugins", ""}};
}

BackupWriter::Options sample_options() {
    return {.pack_size = 256, .extent_size = 64};
}

std::string write_sample(const Repository& repository, Timestamp started) {
    const Lock lock(repository.file_system(), repository.directory(), "create");
    BackupWriter writer(repository, lock, started, sample_options());
    for (const auto& [path, content] : sample_files()) {
        FileWriter file = writer.add_file(path, path.substr(0, path.find('/')));
        file.append(std::string_view(content).substr(0, content.size() / 3));
        file.append(std::string_view(content).substr(content.size() / 3));
        file.close();
    }
    writer.publish(sample_summary(), started + std::chrono::seconds{1});
    return writer.id();
}

std::map<std::string, std::string> read_backup(const Repository& repository,
                                               const std::string& backup_id) {
    std::map<std::string, std::string> files;
    ManifestReader manifest = repository.read_manifest(backup_id);
    while (auto entry = manifest.next_file()) {
        std::string& content = files[entry->path];
        FileReader reader(repository, std::move(*entry));
        while (const auto bytes = reader.next()) {
            content += *bytes;
        }
    }
    return files;
}

}  // namespace repository_test
