// The command line is killed, stopped or interrupted at any moment of a backup.
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

constexpr int moments = 8;

// The n-th of `moments` evenly spread over a backup as long as this one.
std::chrono::milliseconds moment(const Result& whole, int n) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(whole.wall * n / moments);
}

void check_nothing_is_left(const Broker& broker, const std::filesystem::path& repository) {
    wait_until_idle(broker);
    if (std::filesystem::exists(repository / "repository.json")) {
        check_listed_is_whole(repository);
    }
    check_next_backup(broker, repository);
}

}  // namespace

TEST_CASE("create killed at any moment leaves nothing that the next one does not clean up") {
    Broker& broker = loaded_broker();
    const TempDir files;
    const auto repository = files / "repository";
    const CliResult whole = create_backup(broker, files / "measured");
    REQUIRE(whole.exit_code == 0);
    ServiceWatch service(broker);
    const auto kill_now = [&](RunningCreate& create) {
        create.signal(SIGKILL);
        create.wait();
        check_nothing_is_left(broker, repository);
    };
    for (const char* phase : {"checkpoint", "metadata", "publishing"}) {
        INFO(phase);
        RunningCreate create(broker, repository);
        create.wait_for_phase(phase);
        kill_now(create);
    }
    for (int n = 0; n < moments; ++n) {
        INFO("moment " << n);
        RunningCreate create(broker, repository);
        create.wait_at_most(moment(whole, n));
        kill_now(create);
    }
    service.finish();
}

TEST_CASE("create killed in the stream left a pack, and the job failed") {
    Broker& broker = loaded_broker();
    const TempDir files;
    const auto repository = files / "repository";
    RunningCreate create(broker, repository);
    create.stop_in_stream();
    CHECK(has_checkpoint(broker));
    create.signal(SIGKILL);
    create.wait();
    wait_until_idle(broker);
    CHECK(history(broker).front().state == "failed");
    CHECK(listed(repository).empty());
    CHECK_FALSE(std::filesystem::is_empty(repository / "packs"));
    check_next_backup(broker, repository);
}

TEST_CASE("a create that stands still in the stream loses its checkpoint") {
    Broker& broker = loaded_broker();
    const TempDir files;
    const auto repository = files / "repository";
    ServiceWatch service(broker);
    std::optional<StallTimeout> soon(std::in_place, broker);
    RunningCreate create(broker, repository);
    create.stop_in_stream();
    CHECK(has_checkpoint(broker));
    wait_until_idle(broker);
    soon.reset();
    CHECK(history(broker).front().error_code == "stalled");

    // The slot is free again; the repository is still its own.
    check_next_backup(broker, files / "other");
    check_one_error(create_backup(broker, repository), 11);

    create.signal(SIGCONT);
    check_one_error(create.wait(), 1);
    CHECK(listed(repository).empty());
    CHECK(std::filesystem::is_empty(repository / "packs"));
    check_next_backup(broker, repository);
    service.finish();
}

TEST_CASE("create stopped for a while at any moment succeeds or says why not") {
    Broker& broker = loaded_broker();
    const TempDir files;
    const auto repository = files / "repository";
    const CliResult whole = create_backup(broker, files / "measured");
    ServiceWatch service(broker);
    for (int n = 0; n < moments; ++n) {
        INFO("moment " << n);
        const StallTimeout soon(broker);
        RunningCreate create(broker, repository);
        create.wait_at_most(moment(whole, n));
        create.signal(SIGSTOP);
        wait_for("the end of the checkpoint", 15s, [&] { return !has_checkpoint(broker); });
        create.signal(SIGCONT);
        const Result& result = create.wait();
        if (result.exit_code != 0) {
            check_one_error(result, 1);
            CHECK(listed(repository).empty());
        }
        check_nothing_is_left(broker, repository);
    }
    service.finish();
}

TEST_CASE("create interrupted by a signal publishes nothing and ends with 130") {
    Broker& broker = loaded_broker();
    const TempDir files;
    const auto repository = files / "repository";
    for (const int number : {SIGINT, SIGTERM}) {
        INFO("signal " << number);
        RunningCreate create(broker, repository);
        create.stop_in_stream();
        create.signal(number);
        create.signal(SIGCONT);
        CHECK_THAT(check_one_error(create.wait(), 130), Catch::Contains("interrupted"));
        wait_until_idle(broker);
        CHECK(history(broker).front().state == "cancelled");
        CHECK(listed(repository).empty());
        CHECK(std::filesystem::is_empty(repository / "packs"));
        CHECK_FALSE(std::filesystem::exists(repository / "lock"));
    }

    const CliResult whole = create_backup(broker, files / "measured");
    for (int n = 1; n < moments; ++n) {
        INFO("moment " << n);
        RunningCreate create(broker, repository);
        create.wait_at_most(moment(whole, n));
        create.signal(SIGTERM);
        const Result& result = create.wait();
        // Before the program has set up its handlers the signal ends it the plain way.
        if (result.exit_code != 0 && result.exit_code != 128 + SIGTERM) {
            check_one_error(result, 130);
            CHECK(listed(repository).empty());
        }
        check_nothing_is_left(broker, repository);
    }
}
