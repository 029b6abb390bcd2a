// A backup of a node that never was: files as a test wants them, in a repository of the test's own.
#pragma once

#include "sidecar/repository/backup_writer.hpp"
#include "sidecar/restore/restore.hpp"
#include "tests/harness/temp_dir.hpp"

#include <string>
#include <vector>

namespace restore_test {

inline const std::string original = "/var/lib/rabbitmq/mnesia/rabbit@here";

using Names = std::vector<std::string>;
// What lies around the target when the node is restored.
inline const Names only_the_node{"rabbit@here", "rabbit@here-configuration",
                                 "rabbit@here-feature_flags"};

// A directory of the test's own with a repository in it, and a place for restored nodes.
class NodeBackup {
public:
    NodeBackup();

    // What the next backup shall hold. The origin of a path below "data" is below `original`; of
    // another root it is given with the root.
    NodeBackup& directory(const std::string& path, unsigned mode = 0750);
    NodeBackup& root(const std::string& name, const std::string& origin);
    NodeBackup& file(const std::string& path, const std::string& content, unsigned mode = 0640);
    NodeBackup& link(const std::string& path, const std::string& target);
    // When what is added from now on was last written to.
    NodeBackup& at(hot_backup::Timestamp time);
    NodeBackup& configuration(const std::string& path, const std::string& content);
    // Of the node.
    hot_backup::Summary summary;
    // How much of a file goes into one extent.
    std::size_t extent_size = 1000;

    // Makes it, and returns its ID.
    std::string write();
    // Changes one byte of what this file's extent of that number has in the repository.
    void damage(const std::string& backup, const std::string& path, std::size_t extent = 0) const;

    const hot_backup::Repository& repository() const { return repository_; }
    // Does not exist.
    hot_backup::Path target() const { return files_ / "nodes/rabbit@here"; }
    hot_backup::Path parent() const { return files_ / "nodes"; }
    // All names below the parent of the target.
    Names around() const;

    hot_backup::RestoredNode restore(const std::string& backup,
                                     hot_backup::RestoreOptions options = {},
                                     const hot_backup::RestoreCallbacks& callbacks = {}) const;

private:
    struct Planned {
        hot_backup::FileEntry entry;
        std::string content;
    };

    harness::TempDir files_;
    hot_backup::Repository repository_;
    std::vector<Planned> planned_;
    hot_backup::Timestamp time_;
};

// Those that a node has: message stores, Raft logs, streams, Mnesia, feature flags, configuration.
NodeBackup& with_node_files(NodeBackup& backup);

}  // namespace restore_test
