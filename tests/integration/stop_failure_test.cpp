// An engine that fails within the stop. The node must go on by itself, at `max_pause` at the
// latest, and nothing may be left of the backup.
#include "tests/harness/temp_dir.hpp"
#include "tests/harness/wait.hpp"
#include "tests/integration/service_watch.hpp"
#include "tests/integration/support.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <csignal>
#include <optional>
#include <utility>

using namespace harness;
using namespace integration;
using namespace std::chrono_literals;

namespace {

// Tells the faulty engine what to do.
class Fault {
public:
    std::filesystem::path path() const { return files_ / "fault"; }
    void set(const std::string& fault) { write_file(path(), fault); }

private:
    TempDir files_;
};

// What the node's schedulers did not do for the longest time, in the time since the watch began: a
// process of the node looks at the clock all the time.
class PauseWatch {
public:
    explicit PauseWatch(const Broker& broker) : broker_(broker) { probe(broker, "watch_pauses"); }
    std::chrono::milliseconds longest() {
        const auto longest = probe(broker_, "longest_pause");
        return std::chrono::milliseconds(*longest.as<std::int64_t>());
    }

private:
    const Broker& broker_;
};

// Besides `max_pause` of the node's settings, which is the default: what two busy cores may add
// until a process is scheduled again.
constexpr auto longest_hold = 250ms;
constexpr auto leeway = 250ms;

void check_still_exact(const Broker& broker) {
    const TempDir files;
    check_next_backup(broker, files / "repository");
}

}  // namespace

TEST_CASE("a C node that fails within the stop does not keep the node") {
    Broker& broker = shared_broker();
    Fault fault;
    auto environment = broker.client_environment();
    environment["HOT_BACKUP_TEST_FAULT"] = fault.path().string();
    ServiceWatch service(broker);
    for (const std::string name : {"kill", "stop", "exit", "silence", "refuse"}) {
        INFO(name);
        fault.set(name);
        PauseWatch pauses(broker);
        std::optional<StallTimeout> soon(std::in_place, broker);
        Process engine(FAULTY_ENGINE, {"attach", broker.node(), broker.cookie()}, {environment});
        wait_for("the engine's end or stillness", 30s, [&] {
            return !engine.running() ||
                   (name == "stop" && !has_checkpoint(broker) && !history(broker).empty());
        });
        service.wait_until_it_serves();
        CHECK(pauses.longest() < longest_hold + leeway);
        if (name == "stop") {
            engine.signal(SIGKILL);
        }
        wait_until_idle(broker);
        soon.reset();
        CHECK(history(broker).front().state == "failed");
        check_still_exact(broker);
    }
    service.finish();
}

TEST_CASE("a port program that fails within the stop does not keep the node") {
    Fault fault;
    fault.set("refuse");
    Broker broker({.environment = {{"HOT_BACKUP_TEST_FAULT", fault.path().string()}}});
    broker.eval("application:set_env(rabbitmq_hot_backup, executable, \"" FAULTY_ENGINE "\").");
    kill(broker.port_programs().at(0), SIGKILL);
    wait_for("the faulty engine", 30s, [&] {
        const auto programs = descendants(broker.pid());
        return std::ranges::any_of(
            programs, [](pid_t program) { return program_name(program) == "faulty_engine"; });
    });
    ServiceWatch service(broker);
    for (const std::string name : {"kill", "stop", "exit", "garbage", "silence", "refuse"}) {
        INFO(name);
        fault.set(name);
        PauseWatch pauses(broker);
        std::optional<StallTimeout> soon(std::in_place, broker);
        const TempDir files;
        const Job job = wait_until_finished(broker, start_backup(broker, files / "repository"));
        soon.reset();
        CHECK(job.state == "failed");
        INFO(job.error_message);
        service.wait_until_it_serves();
        CHECK(pauses.longest() < longest_hold + leeway);
        wait_until_idle(broker);
        check_still_exact(broker);
    }
    service.finish();
}

TEST_CASE("the holder killed within the stop does not keep the node") {
    Broker& broker = shared_broker();
    Fault fault;
    fault.set("silence");
    auto environment = broker.client_environment();
    environment["HOT_BACKUP_TEST_FAULT"] = fault.path().string();
    ServiceWatch service(broker);
    // Nothing else runs within the stop, but a process of the same priority that was told to
    // before.
    const auto long_pause = [&](const char* milliseconds) {
        broker.eval(std::string("application:set_env(rabbitmq_hot_backup, max_pause, ") +
                    milliseconds + ").");
    };
    long_pause("5000");
    probe(broker, "kill_holder_when_held");
    PauseWatch pauses(broker);
    Process engine(FAULTY_ENGINE, {"attach", broker.node(), broker.cookie()}, {environment});
    engine.wait(30s);
    long_pause("250");
    CHECK(probe(broker, "holder_was_killed").is_atom("true"));
    CHECK(pauses.longest() < 2s);
    wait_until_idle(broker);
    check_still_exact(broker);
    service.finish();
}
