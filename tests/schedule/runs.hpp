// What a node does by schedule, made to do it, and what came of it.
#pragma once

#include "tests/harness/broker.hpp"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <string>
#include <vector>

namespace schedule_tests {

// A setting of the plugin, in the running node; `value` is an Erlang term.
void set(const harness::Broker& broker, const std::string& setting, const std::string& value);

void write_hook(const std::filesystem::path& path, const std::string& script);

// From now on a program is run in the place of the node's, written to `path`, that damages every
// pack before it verifies one.
void damage_what_is_verified(const harness::Broker& broker, const std::filesystem::path& path);

// Runs what is done by schedule, and waits for its end. Returns its outcome.
std::string run_now(const harness::Broker& broker);

// Whether nothing goes on that the schedule has begun.
bool is_idle(const harness::Broker& broker);

// As the node has it, with the error.
std::string last_failure(const harness::Broker& broker);
// What went wrong last is known a moment later.
void expect_last_failure(const harness::Broker& broker, const std::string& text);

// As `list --json` has them, the oldest first.
std::vector<nlohmann::json> backups(const std::filesystem::path& repository);

}  // namespace schedule_tests
