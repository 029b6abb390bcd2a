// When the files of a backup that hold messages were last written to before its instant: it says
// how far the node's own counts can be relied on.
#pragma once

#include "sidecar/repository/repository.hpp"

#include <map>
#include <optional>
#include <string>
#include <utility>

namespace hot_backup {

struct LastWrites {
    // Of each classic queue, by vhost and name: its own index. Every message and acknowledgement
    // changes it, those that somebody waits for a confirm of at once, others when the queue has
    // nothing else to do.
    std::map<std::pair<std::string, std::string>, Timestamp> classic;
    // Of all quorum queues: they share one write-ahead log.
    std::optional<Timestamp> quorum;
};

// `data_directory` is one that was restored from this backup. RabbitMQ writes into the directory of
// each classic queue whose it is.
LastWrites last_writes(const Repository& repository, const std::string& backup_id,
                       const Path& data_directory);

}  // namespace hot_backup
