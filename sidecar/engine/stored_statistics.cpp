#include "sidecar/engine/stored_statistics.hpp"

#include "sidecar/engine/interrupt.hpp"
#include "sidecar/repository/file_reader.hpp"

namespace hot_backup {
namespace {

std::optional<FileEntry> find_statistics(const Repository& repository,
                                         const std::string& backup_id) {
    ManifestReader manifest = repository.read_manifest(backup_id);
    while (auto entry = manifest.next_file()) {
        if (entry->path == statistics_path) {
            return entry;
        }
    }
    return std::nullopt;
}

}  // namespace

void read_statistics(const Repository& repository, const std::string& backup_id,
                     const QueueStatisticsReader::Consume& consume) {
    auto entry = find_statistics(repository, backup_id);
    if (!entry) {
        return;
    }
    FileReader content(repository, std::move(*entry), backup_id);
    QueueStatisticsReader lines(consume);
    while (const auto piece = content.next()) {
        throw_if_interrupted();
        lines.add(*piece);
    }
    lines.finish();
}

}  // namespace hot_backup
