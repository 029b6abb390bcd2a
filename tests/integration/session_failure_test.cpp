// An engine that fails at any step of a backup: it disappears, or it goes silent. The broker must
// not notice, and nothing may be left that only the engine could have ended.
#include "erlang_port/error.hpp"
#include "erlang_port/node_channel.hpp"
#include "sidecar/engine/broker.hpp"
#include "tests/harness/temp_dir.hpp"
#include "tests/harness/wait.hpp"
#include "tests/integration/service_watch.hpp"
#include "tests/integration/support.hpp"

#include <catch2/catch.hpp>

#include <csignal>
#include <functional>
#include <optional>
#include <string>
#include <utility>

using namespace harness;
using namespace integration;
using namespace std::chrono_literals;

namespace {

// As the program does: the node may have closed the connection that is written to.
const auto sigpipe_ignored = std::signal(SIGPIPE, SIG_IGN);

enum class Step {
    hello,
    job_begin,
    describe,
    checkpoint_begin,
    stop,
    first_data,  // has arrived and is not acknowledged
    fifth_data,  // as above, and the four before it are acknowledged
    stream_end,
    checkpoint_end,
};

const char* name_of(Step step) {
    constexpr const char* names[] = {
        "hello",      "job_begin",  "describe",   "checkpoint_begin", "stop",
        "first_data", "fifth_data", "stream_end", "checkpoint_end"};
    return names[static_cast<std::size_t>(step)];
}

// Goes through a backup as the product does, but calls `fail` after a step. What follows when that
// returns is a broken engine's last attempt to go on.
void back_up_until(const Broker& node, Step last, const std::function<void()>& fail) {
    hot_backup::Broker session(std::make_unique<erlang::NodeChannel>(
        erlang::NodeOptions{.node = node.node(), .cookie = node.cookie()}));
    const auto after = [&](Step step) {
        if (step == last) {
            fail();
        }
    };
    after(Step::hello);
    const auto job = session.begin_job("/nowhere", std::nullopt);
    after(Step::job_begin);
    session.describe();
    after(Step::describe);
    session.begin_checkpoint();
    after(Step::checkpoint_begin);
    session.stop(job.max_pause, [] { return true; });
    after(Step::stop);
    unsigned messages = 0;
    session.stream_checkpoint([&](std::string_view) {
        ++messages;
        if (messages == 1) {
            after(Step::first_data);
        } else if (messages == 5) {
            after(Step::fifth_data);
        }
    });
    after(Step::stream_end);
    session.end_checkpoint();
    after(Step::checkpoint_end);
    session.report_progress(job.number, "never", 0, 0);
}

struct Gone {};

}  // namespace

TEST_CASE("an engine that disappears leaves nothing, whatever it was doing") {
    Broker& broker = loaded_broker();
    const TempDir files;
    ServiceWatch service(broker);
    for (const Step step :
         {Step::hello, Step::job_begin, Step::describe, Step::checkpoint_begin, Step::stop,
          Step::first_data, Step::fifth_data, Step::stream_end, Step::checkpoint_end}) {
        INFO(name_of(step));
        const std::size_t before = history(broker).size();
        CHECK_THROWS_AS(back_up_until(broker, step, [] { throw Gone(); }), Gone);
        wait_until_idle(broker);
        const std::vector<Job> jobs = history(broker);
        if (step == Step::hello) {
            CHECK(jobs.size() == before);
        } else {
            REQUIRE(jobs.size() == before + 1);
            CHECK(jobs.front().state == "failed");
            CHECK_THAT(jobs.front().error_message, Catch::Contains("went down"));
        }
        check_next_backup(broker, files / "repository");
    }
    service.finish();
}

TEST_CASE("an engine that goes silent with a checkpoint loses its session") {
    Broker& broker = loaded_broker();
    const TempDir files;
    ServiceWatch service(broker);
    for (const Step step : {Step::checkpoint_begin, Step::stop, Step::first_data, Step::fifth_data,
                            Step::stream_end}) {
        INFO(name_of(step));
        const std::size_t before = history(broker).size();
        std::optional<StallTimeout> soon(std::in_place, broker);
        bool was_released = false;
        const auto stay_silent = [&] {
            // Of Khepri nothing is held before the stop.
            REQUIRE((has_checkpoint(broker) || metadata_store(broker) == "khepri"));
            wait_until_idle(broker);
            was_released = true;
            soon.reset();
        };
        CHECK_THROWS_AS(back_up_until(broker, step, stay_silent), hot_backup::Error);
        REQUIRE(was_released);
        const std::vector<Job> jobs = history(broker);
        REQUIRE(jobs.size() == before + 1);
        CHECK(jobs.front().state == "failed");
        CHECK(jobs.front().error_code == "stalled");
        check_next_backup(broker, files / "repository");
    }
    service.finish();
}

TEST_CASE("an engine that is silent without a checkpoint holds up nobody but other backups") {
    Broker& broker = loaded_broker();
    const TempDir files;
    ServiceWatch service(broker);
    for (const Step step : {Step::job_begin, Step::describe, Step::checkpoint_end}) {
        INFO(name_of(step));
        // Longer than the time in which it would lose a checkpoint.
        std::optional<StallTimeout> soon(std::in_place, broker);
        const auto stay_silent = [&] {
            const unsigned rounds = service.rounds();
            const auto until = std::chrono::steady_clock::now() + 2500ms;
            wait_for("service", 30s, [&] {
                return service.rounds() > rounds + 10 && std::chrono::steady_clock::now() > until;
            });
            CHECK_FALSE(has_checkpoint(broker));
            soon.reset();
            const std::string message = check_one_error(create_backup(broker, files / "other"), 1);
            CHECK_THAT(message, Catch::Contains("another backup is running"));
            throw Gone();
        };
        CHECK_THROWS_AS(back_up_until(broker, step, stay_silent), Gone);
        wait_until_idle(broker);
        CHECK(history(broker).front().state == "failed");
        check_next_backup(broker, files / "repository");
    }
    service.finish();
}
