// Two at once: only one backup of a node, only one writer of a repository.
#include "tests/harness/temp_dir.hpp"
#include "tests/integration/support.hpp"

#include <catch2/catch.hpp>

#include <csignal>

using namespace harness;
using namespace integration;
using namespace std::chrono_literals;

TEST_CASE("while a backup runs, others of its node and of its repository are refused") {
    Broker& broker = loaded_broker();
    static const Broker other_broker;  // for all sections
    const TempDir files;
    const auto repository = files / "repository";
    REQUIRE(create_backup(broker, repository).exit_code == 0);

    RunningCreate running(broker, repository);
    running.stop_in_stream();
    SECTION("another one of the node, to the same repository") {
        CHECK_THAT(check_one_error(create_backup(broker, repository), 1),
                   Catch::Contains("another backup is running"));
    }
    SECTION("another one of the node, to a repository of its own") {
        CHECK_THAT(check_one_error(create_backup(broker, files / "other"), 1),
                   Catch::Contains("another backup is running"));
    }
    SECTION("another one of the node, by its port program") {
        CHECK_THROWS_WITH(start_backup(broker, files / "other"), Catch::Contains("busy"));
    }
    SECTION("a backup of another node to the same repository") {
        CHECK_THAT(check_one_error(create_backup(other_broker, repository), 11),
                   Catch::Contains(std::to_string(running.pid())));
    }
    SECTION("a deletion in the repository") {
        const Result refused = run_cli({"delete", "latest", "--repository", repository, "--json"});
        CHECK_THAT(check_one_error(refused, 11), Catch::Contains("locked"));
    }
    SECTION("readers are not") {
        CHECK(listed(repository).size() == 1);
        CHECK(check_listed_is_whole(repository) == 1);
    }
    running.signal(SIGCONT);
    INFO(running.output());
    CHECK(running.wait().exit_code == 0);
    CHECK(check_listed_is_whole(repository) == 2);
}
