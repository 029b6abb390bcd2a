// Runs this build's executable the way an operator does.
#pragma once

#include "tests/harness/broker.hpp"
#include "tests/harness/process.hpp"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <string>
#include <vector>

namespace harness {

// The executable of this build.
const std::filesystem::path& cli_path();

struct CliResult : Result {
    // Each line of the output, with --json among the arguments.
    std::vector<nlohmann::json> lines;
    // The first line whose "message_type" this is; null when there is none.
    nlohmann::json line(const std::string& message_type) const;
};

CliResult run_cli(const std::vector<std::string>& arguments, const ProcessOptions& options = {},
                  std::chrono::milliseconds timeout = std::chrono::minutes(2));

// The arguments of a `create` of `broker` into `repository`, with --json.
std::vector<std::string> create_arguments(const Broker& broker,
                                          const std::filesystem::path& repository);

// `create` of a backup of `broker` in `repository`, with --json and further arguments.
CliResult create_backup(const Broker& broker, const std::filesystem::path& repository,
                        const std::vector<std::string>& arguments = {});

}  // namespace harness
