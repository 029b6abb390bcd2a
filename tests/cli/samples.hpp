// Backups for the tests of the commands: small, of any node and time, that verify.
#pragma once

#include "sidecar/repository/backup_writer.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace cli_test {

struct Sample {
    std::string instant = "2026-11-22T07:32:41Z";
    std::string node = "rabbit@here";
    std::string content = "messages";  // of a file of the node's
};

// Makes a backup in the repository, and that first where need be. Returns its ID.
std::string make_backup(const std::filesystem::path& repository, const Sample& sample = {});

// The part of a node, in doubt: with the metadata where it is to have them. The file of the node's
// holds its name.
hot_backup::ClusterPart make_part(const std::filesystem::path& repository,
                                  const std::string& cluster_id, const std::string& node,
                                  bool metadata);
// Publishes the cluster backup of these parts, "prod", in the repository.
void publish_parts(const std::filesystem::path& repository, const std::string& cluster_id,
                   const std::vector<hot_backup::ClusterPart>& parts);

std::string read_file(const std::filesystem::path& path);
void flip_last_bit(const std::filesystem::path& path);

}  // namespace cli_test
