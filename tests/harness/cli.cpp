#include "tests/harness/cli.hpp"

#include "erlang_port/error.hpp"

#include <algorithm>
#include <sstream>

namespace harness {

const std::filesystem::path& cli_path() {
    static const std::filesystem::path path = HOT_BACKUP_EXECUTABLE;
    return path;
}

nlohmann::json CliResult::line(const std::string& message_type) const {
    for (const nlohmann::json& line : lines) {
        if (line.value("message_type", "") == message_type) {
            return line;
        }
    }
    return {};
}

CliResult run_cli(const std::vector<std::string>& arguments, const ProcessOptions& options,
                  std::chrono::milliseconds timeout) {
    CliResult result{run(cli_path(), arguments, options, timeout), {}};
    if (std::ranges::find(arguments, "--json") != arguments.end()) {
        std::istringstream output(result.output);
        for (std::string line; std::getline(output, line);) {
            try {
                result.lines.push_back(nlohmann::json::parse(line));
            } catch (const nlohmann::json::exception&) {
                throw hot_backup::Error(hot_backup::ErrorCode::failed,
                                        "a line of --json is not JSON: " + line);
            }
        }
    }
    return result;
}

std::vector<std::string> create_arguments(const Broker& broker,
                                          const std::filesystem::path& repository) {
    return {"create",   "--node",        broker.node(),        "--repository",
            repository, "--cookie-file", broker.cookie_file(), "--json"};
}

CliResult create_backup(const Broker& broker, const std::filesystem::path& repository,
                        const std::vector<std::string>& arguments) {
    std::vector<std::string> all = create_arguments(broker, repository);
    all.insert(all.end(), arguments.begin(), arguments.end());
    // It works at the lowest priorities, and the machine may have much else to do.
    return run_cli(all, {broker.client_environment(), {}, {}}, std::chrono::minutes(10));
}

}  // namespace harness
