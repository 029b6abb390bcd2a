// A cluster as they are in real life: nodes of one name, each on a host of its own, that no
// resolver of this machine knows. It is told of them, and connects, in the way of a sandbox.
#pragma once

#include "tests/harness/broker.hpp"
#include "tests/sandbox/support.hpp"

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace sandbox_test {

class NamedCluster {
public:
    static constexpr std::size_t nodes = 3;

    // Starts rabbit@node-a, rabbit@node-b and rabbit@node-c and lets all join the first.
    NamedCluster();

    harness::Broker& at(std::size_t number) { return *nodes_.at(number); }

    // Waits until so many see each other run.
    void wait_until_running(std::size_t count);
    // A backup of all nodes, by the plugin of the first; of that one only with "this_node => true".
    // Returns its ID. Without a repository each node writes into its own.
    std::string back_up(const std::filesystem::path& repository = {},
                        const std::string& options = {});

private:
    harness::TempDir files_;
    std::vector<std::unique_ptr<harness::Broker>> nodes_;
};

// A queue of each type on each node, "classic0" to "stream2", each with so many messages
// ("classic0 0", "classic0 1", ...); all at rest, and counted.
inline constexpr int cluster_messages = 40;
struct FilledCluster {
    NamedCluster cluster;
    harness::TempDir files;
    std::filesystem::path shared() const { return files / "shared"; }
    std::filesystem::path own(std::size_t node) { return cluster.at(node).repository(); }
    std::string backup;  // of all nodes, in `shared`
    std::string in_own;  // another one, each node's part in its own repository

    FilledCluster();
};
FilledCluster& filled_cluster();

// The names of all of its queues.
std::vector<std::string> cluster_queues();

// The backup of a cluster again, in the same repository, under another ID; in the part of `node`
// the files are those of `contents`, as rewrite_backup() has it. Returns the ID.
std::string rewrite_part(const std::filesystem::path& repository, const std::string& backup,
                         const std::string& node, const Contents& contents);
// The ID of the part of this node.
std::string part_of(const std::filesystem::path& repository, const std::string& backup,
                    const std::string& node);

}  // namespace sandbox_test
