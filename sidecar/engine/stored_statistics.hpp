// The statistics of a backup's queues, read from its packs: what show prints, what verify reads
// through, and what a restore drill compares.
#pragma once

#include "sidecar/definitions/queue_statistics.hpp"
#include "sidecar/repository/repository.hpp"

#include <string>
#include <string_view>

namespace hot_backup {

// The path of the statistics within a backup: docs/format.md, "Files of a backup".
inline constexpr std::string_view statistics_path = "statistics/queues";

// Hands out all of them; none when the backup has no such file. Errors as of FileReader and
// QueueStatisticsReader. A signal ends the reading: see interrupt.hpp.
void read_statistics(const Repository& repository, const std::string& backup_id,
                     const QueueStatisticsReader::Consume& consume);

}  // namespace hot_backup
