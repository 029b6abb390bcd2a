// The broker dies or stops in the middle of a backup.
#include "tests/harness/temp_dir.hpp"
#include "tests/harness/wait.hpp"
#include "tests/integration/service_watch.hpp"
#include "tests/integration/support.hpp"

#include <catch2/catch.hpp>

#include <csignal>

using namespace harness;
using namespace integration;
using namespace std::chrono_literals;

namespace {

bool is_gone(pid_t program) {
    return program_name(program).empty();
}

pid_t only_port_program(const Broker& broker) {
    const std::vector<pid_t> programs = broker.port_programs();
    REQUIRE(programs.size() == 1);
    return programs.front();
}

void check_it_serves(const Broker& broker, const std::filesystem::path& repository) {
    ServiceWatch service(broker);
    wait_until_idle(broker);
    check_next_backup(broker, repository);
    service.finish();
}

}  // namespace

TEST_CASE("a broker that is killed takes its backups with it and starts as ever") {
    Broker broker;
    add_ballast(broker);
    const TempDir files;
    const auto by_create = files / "by create";
    const auto by_port = files / "by port";
    check_next_backup(broker, by_create);
    const pid_t idle_program = only_port_program(broker);

    RunningCreate create(broker, by_create);
    create.stop_in_stream();
    broker.kill9();
    create.signal(SIGCONT);
    const std::string message = check_one_error(create.wait(), 1);
    CHECK_THAT(message, Catch::Contains(broker.node()) || Catch::Contains("closed"));
    CHECK(listed(by_create).empty());
    CHECK(std::filesystem::is_empty(by_create / "packs"));
    wait_for("the end of the port program", 15s, [&] { return is_gone(idle_program); });

    broker.start();
    check_it_serves(broker, by_create);

    const pid_t program = start_and_stop_in_stream(broker, by_port).program;
    broker.kill9();
    kill(program, SIGCONT);
    wait_for("the end of the port program", 30s, [&] { return is_gone(program); });
    CHECK(listed(by_port).empty());
    CHECK(std::filesystem::is_empty(by_port / "packs"));

    broker.start();
    check_it_serves(broker, by_port);
}

TEST_CASE("a broker that is stopped ends its port program and what it is doing") {
    Broker broker;
    add_ballast(broker);
    const TempDir files;
    const auto repository = files / "repository";
    check_next_backup(broker, repository);
    const pid_t program = only_port_program(broker);
    RunningCreate create(broker, repository);
    create.stop_in_stream();
    // Its session is ended in the middle of the node's own shutdown.
    broker.stop();
    CHECK(is_gone(program));
    create.signal(SIGCONT);
    check_one_error(create.wait(), 1);
    CHECK(listed(repository).empty());
}
