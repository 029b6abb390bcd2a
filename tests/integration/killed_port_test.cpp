// The port program is killed or stopped at any moment of a backup that the plugin asked for.
#include "tests/harness/temp_dir.hpp"
#include "tests/harness/wait.hpp"
#include "tests/integration/service_watch.hpp"
#include "tests/integration/support.hpp"

#include <catch2/catch.hpp>

#include <csignal>
#include <optional>
#include <utility>

using namespace harness;
using namespace integration;
using namespace std::chrono_literals;

namespace {

pid_t port_program(const Broker& broker) {
    return wait_for("the port program", 30s, [&] {
        const std::vector<pid_t> programs = broker.port_programs();
        return programs.size() == 1 ? programs.front() : 0;
    });
}

void check_port_backup(const Broker& broker, const std::filesystem::path& repository) {
    const Job job = wait_until_finished(broker, start_backup(broker, repository));
    INFO(job.error_message);
    REQUIRE(job.state == "done");
    CHECK(listed(repository) == std::vector{job.backup});
    CHECK(check_listed_is_whole(repository) == 1);
    CHECK(run_cli({"delete", job.backup, "--repository", repository}).exit_code == 0);
}

}  // namespace

TEST_CASE("a port program that is killed comes back by itself") {
    Broker& broker = loaded_broker();
    const pid_t first = port_program(broker);
    kill(first, SIGKILL);
    wait_for("another one", 30s, [&] {
        const std::vector<pid_t> programs = broker.port_programs();
        return programs.size() == 1 && programs.front() != first;
    });
    const TempDir files;
    check_port_backup(broker, files / "repository");
}

TEST_CASE("a port program killed at any moment of a backup fails that backup and nothing else") {
    Broker& broker = loaded_broker();
    const TempDir files;
    const auto repository = files / "repository";
    ServiceWatch service(broker);

    const StoppedBackup in_stream = start_and_stop_in_stream(broker, repository);
    kill(in_stream.program, SIGKILL);
    const Job killed = wait_until_finished(broker, in_stream.job);
    CHECK(killed.state == "failed");
    // Which of the two comes first is up to the kernel.
    CHECK_THAT(killed.error_message,
               Catch::Contains("signal 9") || Catch::Contains("closed its connection"));

    const auto start = std::chrono::steady_clock::now();
    check_port_backup(broker, repository);
    const auto whole = std::chrono::duration_cast<std::chrono::milliseconds>(
        std::chrono::steady_clock::now() - start);
    constexpr int moments = 8;
    for (int n = 0; n < moments; ++n) {
        INFO("moment " << n);
        const pid_t program = port_program(broker);
        const std::uint64_t job = start_backup(broker, repository);
        std::this_thread::sleep_for(whole * n / moments);
        kill(program, SIGKILL);
        const Job ended = wait_until_finished(broker, job);
        CHECK((ended.state == "failed" || ended.state == "done"));
        wait_until_idle(broker);
        check_listed_is_whole(repository);
        check_next_backup(broker, repository);
        check_port_backup(broker, repository);
    }
    service.finish();
}

TEST_CASE("a port program that stands still in the stream is killed and replaced") {
    Broker& broker = loaded_broker();
    const TempDir files;
    const auto repository = files / "repository";
    ServiceWatch service(broker);
    std::optional<StallTimeout> soon(std::in_place, broker);
    const auto [job, program] = start_and_stop_in_stream(broker, repository);
    const Job ended = wait_until_finished(broker, job);
    soon.reset();
    CHECK(ended.state == "failed");
    CHECK(ended.error_code == "stalled");
    wait_until_idle(broker);
    // Whoever asks for a backup does not wait for the next attempt to come.
    check_port_backup(broker, repository);
    CHECK(port_program(broker) != program);
    check_next_backup(broker, repository);
    service.finish();
}
