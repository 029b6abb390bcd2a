// What the tests of restore drills share: a node with something of everything, its backup, and
// backups that were tampered with.
#pragma once

#include "sidecar/repository/backup_writer.hpp"
#include "sidecar/repository/repository.hpp"
#include "tests/harness/amqp_client.hpp"
#include "tests/harness/broker.hpp"
#include "tests/harness/cli.hpp"

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace sandbox_test {

inline const std::string awkward_vhost = "Grüße/日本 \"1\"";

// Publishes so many messages to a queue and waits for their confirms; nothing else may come to the
// client meanwhile.
void fill(harness::AmqpClient& client, const std::string& queue, int count,
          const harness::PublishOptions& options = {});

// Declares vhosts, users, policies, exchanges, bindings, and queues of every kind with messages in
// them; some not acknowledged, some not persistent. Some expire within `lifetime` seconds.
struct Load {
    std::map<std::string, std::uint64_t> messages;  // by queue of vhost "/": what a restart keeps
    std::uint64_t stream_records = 0;               // in the queue "stream"
    std::unique_ptr<harness::AmqpClient> consumer;  // has some that it does not acknowledge
};
Load load_node(harness::Broker& broker, int lifetime_seconds);

// Waits until the node has not written messages for as long as makes a backup's counts exact, and
// its statistics say how many there are.
void wait_until_quiet(const harness::Broker& broker, const Load& load);

// A node with a load, made once, and the ID of a backup of it.
struct BackedUpNode {
    harness::Broker broker;
    Load load;
    harness::TempDir files;
    std::string backup;
    std::filesystem::path repository() const { return files / "repository"; }
    BackedUpNode();
};
BackedUpNode& backed_up_node();

// What files of a backup are to have instead, or that they are to be left out, by path.
using Contents = std::map<std::string, std::optional<std::string>>;
// The entries of a backup's manifest, but for those files, go into another backup.
void copy_entries(hot_backup::ManifestReader& manifest, hot_backup::BackupWriter& writer,
                  const Contents& contents);
// The files of a backup with these contents, as a new backup of the same repository, whose summary
// `change` may change. Returns its ID.
std::string rewrite_backup(const std::filesystem::path& repository, const std::string& backup,
                           const Contents& contents,
                           const std::function<void(hot_backup::Summary&)>& change = {});
// The paths of its files that begin and end so.
std::vector<std::string> paths_of(const std::filesystem::path& repository,
                                  const std::string& backup, const std::string& begin,
                                  const std::string& end);
std::string content_of(const std::filesystem::path& repository, const std::string& backup,
                       const std::string& path);

// The lines of this "message_type".
std::vector<nlohmann::json> lines_of(const harness::CliResult& result, const std::string& type);

// `verify --boot` with its scratch directory in `scratch`.
std::vector<std::string> drill_arguments(const std::filesystem::path& repository,
                                         const std::string& backup,
                                         const std::filesystem::path& scratch);
harness::CliResult drill(const std::filesystem::path& repository, const std::string& backup,
                         const std::filesystem::path& scratch,
                         const std::vector<std::string>& more = {});

// The names in a directory.
std::vector<std::string> names_in(const std::filesystem::path& directory);
// The processes that run in `directory` or below it, or are told of it.
std::vector<pid_t> processes_of(const std::filesystem::path& directory);

}  // namespace sandbox_test
