// The same backups, asked for inside the broker and made by its port program.
#include "tests/harness/temp_dir.hpp"
#include "tests/harness/wait.hpp"
#include "tests/integration/broker_definitions.hpp"
#include "tests/integration/support.hpp"

#include <csignal>

#include <catch2/catch.hpp>

using namespace harness;
using namespace integration;
using namespace std::chrono_literals;

TEST_CASE("the broker makes a backup by its port program") {
    Broker& broker = shared_broker();
    const TempDir files;
    const auto repository = files / "repository";
    const Job job = wait_until_finished(broker, start_backup(broker, repository));
    INFO(job.error_message);
    REQUIRE(job.state == "done");
    CHECK(history(broker).front().id == job.id);
    CHECK(listed(repository) == std::vector{job.backup});
    CHECK(check_listed_is_whole(repository) == 1);
    const CliResult printed = run_cli({"definitions", job.backup, "--repository", repository});
    check_same_definitions(nlohmann::json::parse(printed.output), exported_definitions(broker));
    wait_until_idle(broker);
}

TEST_CASE("a backup of the port program is watched and cancelled") {
    Broker& broker = loaded_broker();
    const TempDir files;
    const auto repository = files / "repository";
    const auto [id, program] = start_and_stop_in_stream(broker, repository);
    const erlang::Term status = broker.call("rabbit_hot_backup", "status", {});
    CHECK_THAT(erlang::to_string(status, 4000), Catch::Contains("state => running"));
    REQUIRE(broker.call("rabbit_hot_backup", "cancel", {erlang::integer(id)}).is_atom("ok"));
    kill(program, SIGCONT);
    const Job job = wait_until_finished(broker, id);
    CHECK(job.state == "cancelled");
    CHECK(job.error_code == "cancelled");
    CHECK(listed(repository).empty());
    CHECK(std::filesystem::is_empty(repository / "packs"));
    wait_until_idle(broker);

    // The program goes on, the very same.
    const Job next = wait_until_finished(broker, start_backup(broker, repository));
    CHECK(next.state == "done");
    CHECK(check_listed_is_whole(repository) == 1);
}
