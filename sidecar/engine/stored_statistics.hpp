// The statistics of a backup's queues, read from its packs: what show prints, what verify reads
// through, and what a restore drill compares.
#pragma once

#include "sidecar/definitions/queue_inventory.hpp"
#include "sidecar/repository/repository.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace hot_backup {

// The path of the statistics within a backup: docs/format.md, "Files of a backup".
inline constexpr std::string_view statistics_path = "statistics/queues";

// Hands out all of them; none when the backup has no such file. Errors as of FileReader and
// QueueStatisticsReader. A signal ends the reading: see interrupt.hpp.
void read_statistics(const Repository& repository, const std::string& backup_id,
                     const QueueStatisticsReader::Consume& consume);

// The queues of the backup's snapshot with all of them. Errors as of read_statistics() and
// list_queues().
std::vector<StoredVhost> list_stored_queues(const Repository& repository,
                                            const std::string& backup_id, Snapshot& snapshot,
                                            std::string_view rabbitmq_version);

}  // namespace hot_backup
