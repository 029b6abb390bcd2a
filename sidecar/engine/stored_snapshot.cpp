#include "sidecar/engine/stored_snapshot.hpp"

#include "sidecar/engine/interrupt.hpp"

namespace hot_backup {

StoredSnapshot::StoredSnapshot(const Repository& repository, const std::string& backup_id)
    : repository_(repository),
      backup_id_(backup_id),
      entry_(repository.find_file(backup_id, snapshot_path)) {}

void StoredSnapshot::rewind() {
    reader_.emplace(repository_, entry_, backup_id_);
}

std::optional<std::string_view> StoredSnapshot::next() {
    throw_if_interrupted();
    return reader_.value().next();
}

}  // namespace hot_backup
