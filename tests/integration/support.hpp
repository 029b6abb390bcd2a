// What the integration tests share: asking the node about jobs and checkpoints, programs caught in
// the middle of a backup, and the checks that follow every failure.
#pragma once

#include "erlang_port/term.hpp"
#include "tests/harness/broker.hpp"
#include "tests/harness/cli.hpp"
#include "tests/harness/process.hpp"

#include <nlohmann/json.hpp>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace integration {

// ---- Inside the node ---------------------------------------------------------------------------

// Compiles an Erlang source into the node.
void load_module(const harness::Broker& broker, const std::filesystem::path& source);

// Calls a function of integration_probe.erl, which is loaded at need.
erlang::Term probe(const harness::Broker& broker, const std::string& function,
                   std::vector<erlang::Term> arguments = {});

// "mnesia" or "khepri".
std::string metadata_store(const harness::Broker& broker);

// Metadata so large that a backup is caught in its middle.
inline constexpr std::uint64_t ballast_bytes = 48UL * 1000 * 1000;
void add_ballast(const harness::Broker& broker);
// shared_broker() with ballast.
harness::Broker& loaded_broker();

// While it lives an engine may be silent in the middle of a stream for no longer than this. Made
// before the backup that is to stall, and ended before the next one: a slow disk makes honest
// backups pause too.
class StallTimeout {
public:
    explicit StallTimeout(const harness::Broker& broker,
                          std::chrono::milliseconds timeout = std::chrono::seconds(2));
    ~StallTimeout();
    StallTimeout(const StallTimeout&) = delete;
    StallTimeout& operator=(const StallTimeout&) = delete;

private:
    const harness::Broker& broker_;
};

// ---- Jobs --------------------------------------------------------------------------------------

struct Job {
    std::uint64_t id = 0;
    std::string state;
    std::string backup;      // when done
    std::string error_code;  // when not
    std::string error_message;
};

// Finished jobs, the newest first.
std::vector<Job> history(const harness::Broker& broker);

// Asks the plugin for a backup by its port program. Throws Error when it refuses.
std::uint64_t start_backup(const harness::Broker& broker, const std::filesystem::path& repository);

Job wait_until_finished(const harness::Broker& broker, std::uint64_t job);

// A backup by the port program that stands in the middle of its stream: the program is stopped
// (SIGSTOP) and the checkpoint active.
struct StoppedBackup {
    std::uint64_t job = 0;
    pid_t program = 0;
};
StoppedBackup start_and_stop_in_stream(const harness::Broker& broker,
                                       const std::filesystem::path& repository);

// Waits, briefly, until no job runs and no checkpoint is active.
void wait_until_idle(const harness::Broker& broker);
// Whether a backup holds the node's metadata, or a copy of it.
bool has_checkpoint(const harness::Broker& broker);

// ---- Repositories ------------------------------------------------------------------------------

std::vector<std::string> listed(const std::filesystem::path& repository);
// Everything that is listed verifies. Returns how many that are.
std::size_t check_listed_is_whole(const std::filesystem::path& repository);
// A real backup succeeds and verifies; after it the repository holds nothing that no manifest
// names. All backups are then deleted, so that the next one takes as long.
void check_next_backup(const harness::Broker& broker, const std::filesystem::path& repository);

// ---- Programs ----------------------------------------------------------------------------------

std::vector<nlohmann::json> json_lines(const std::string& output);

// The program ended with this exit code and, last of its output, one error with a hint. Returns its
// message.
std::string check_one_error(const harness::Result& result, int exit_code);

// `create` of a backup that is not waited for.
class RunningCreate : public harness::Process {
public:
    RunningCreate(const harness::Broker& broker, const std::filesystem::path& repository);

    // Waits until a status line tells of it. The program may have ended by then.
    void wait_for_phase(const std::string& phase);
    // Waits for the middle of the stream and stops the program there (SIGSTOP).
    void stop_in_stream();
};

// What rabbitmq-plugins does on a running node, without the seconds that it takes to start: no
// other plugins than these, separated by commas, are enabled afterwards.
void enable_only(const harness::Broker& broker, const std::string& plugins);
// Nothing of the plugin is in the node any more.
void check_leftovers(const harness::Broker& broker);

// Streams come up only after the node serves.
void wait_for_streams(const harness::Broker& broker);

}  // namespace integration
