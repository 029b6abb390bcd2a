// Metadata that changes all the time, in each store that the broker can have it in: a backup shows
// the very state that its own files come to, and nobody waits long for it.
#include "tests/harness/temp_dir.hpp"
#include "tests/harness/wait.hpp"
#include "tests/integration/broker_definitions.hpp"
#include "tests/integration/support.hpp"

#include <catch2/catch.hpp>

#include <csignal>
#include <iostream>
#include <map>
#include <memory>
#include <thread>

using namespace harness;
using namespace integration;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t writers = 6;
constexpr int backups = 3;
// What a stop may cost, `max_pause` included, and what a busy machine may add to it: without a
// limit of its own the lock would last for as long as an engine hangs.
constexpr std::int64_t longest_wait_ms = 2500;

// RabbitMQ 4.0 to 4.2 have the choice; before there is Mnesia only, afterwards Khepri.
std::vector<std::string> stores() {
    const auto version = tested_version();
    if (version < hot_backup::RabbitmqVersion{4, 0, 0}) {
        return {"mnesia"};
    }
    if (version < hot_backup::RabbitmqVersion{4, 3, 0}) {
        return {"mnesia", "khepri"};
    }
    return {"khepri"};
}

// A node whose metadata is in that store.
Broker& broker_with(const std::string& store) {
    static std::map<std::string, std::unique_ptr<Broker>> brokers;
    auto& broker = brokers[store];
    if (!broker) {
        broker = std::make_unique<Broker>();
        if (store == "khepri" && metadata_store(*broker) != store) {
            broker->eval("ok = rabbit_feature_flags:enable(khepri_db).", 2min);
        }
        REQUIRE(metadata_store(*broker) == store);
        load_module(*broker, METADATA_PROBE);
    }
    return *broker;
}

// Clients of the broker that change metadata, while it lives.
class Writers {
public:
    explicit Writers(const Broker& broker) : broker_(broker) {
        broker_.call("metadata_probe", "start", {erlang::integer(writers)});
    }
    ~Writers() {
        try {
            stop();
        } catch (const std::exception& error) {
            std::cerr << error.what() << '\n';
        }
    }
    Writers(const Writers&) = delete;
    Writers& operator=(const Writers&) = delete;

    std::uint64_t stop() {
        const auto changes =
            stopped_ ? 0 : broker_.call("metadata_probe", "stop", {}, 1min).as_unsigned().value();
        stopped_ = true;
        return changes;
    }
    // Milliseconds that the slowest change took, since the last call.
    std::int64_t longest() const {
        return *broker_.call("metadata_probe", "longest", {}).as<std::int64_t>();
    }
    // Until each of them could change something again, and again.
    void wait_until_they_get_on() const {
        wait_for("changes of metadata", 20s, [this] {
            return broker_.call("metadata_probe", "changes", {}).as_unsigned().value() > 20;
        });
    }

private:
    const Broker& broker_;
    bool stopped_ = false;
};

nlohmann::json definitions_of(const std::filesystem::path& repository, const std::string& backup) {
    const auto result = run_cli({"definitions", backup, "--repository", repository.string()});
    REQUIRE(result.exit_code == 0);
    return nlohmann::json::parse(result.output);
}

}  // namespace

TEST_CASE("a backup of changing metadata shows what its own files come to") {
    for (const auto& store : stores()) {
        INFO(store);
        Broker& broker = broker_with(store);
        const TempDir files;
        const auto repository = files / "repository";
        const TempDir scratch;
        std::vector<std::string> made;
        Writers changing(broker);
        for (int n = 0; n < backups; ++n) {
            const auto created = create_backup(broker, repository);
            INFO(created.output << created.error_output);
            REQUIRE(created.exit_code == 0);
            made.push_back(created.line("summary").at("backup"));
        }
        const auto longest = changing.longest();
        CHECK(longest < longest_wait_ms);
        const auto changes = changing.stop();
        std::cout << store << ": " << changes << " rounds of changes, the slowest change took "
                  << longest << " ms" << std::endl;
        CHECK(changes > 10);
        for (const auto& backup : made) {
            const auto definitions = definitions_of(repository, backup);
            CHECK(definitions.at("queues").size() > 1);
            const auto drilled =
                run_cli({"verify", backup, "--boot", "--json", "--repository", repository.string(),
                         "--scratch", scratch.path().string()},
                        {}, 5min);
            INFO(drilled.output << drilled.error_output);
            CHECK(drilled.exit_code == 0);
        }
        wait_until_idle(broker);
    }
}

TEST_CASE("definitions of a backup equal the broker's own, whatever its store") {
    for (const auto& store : stores()) {
        INFO(store);
        Broker& broker = broker_with(store);
        broker.eval("M = definitions_probe, {ok, M, B} = compile:file(\"" DEFINITIONS_PROBE
                    "\", [binary, return_errors]), {module, M} = code:load_binary(M, \"\", B), "
                    "M:declare().",
                    2min);
        const TempDir files;
        const auto created = create_backup(broker, files / "repository");
        INFO(created.output << created.error_output);
        REQUIRE(created.exit_code == 0);
        const std::string backup = created.line("summary").at("backup");
        check_same_definitions(definitions_of(files / "repository", backup),
                               exported_definitions(broker));
    }
}

TEST_CASE("a program that ends or hangs lets metadata be changed again") {
    for (const auto& store : stores()) {
        INFO(store);
        Broker& broker = broker_with(store);
        Writers changing(broker);
        for (const int signal : {SIGKILL, SIGSTOP}) {
            for (int n = 0; n < 5; ++n) {
                const TempDir files;
                changing.longest();
                RunningCreate create(broker, files / "repository");
                // Somewhere before, within or after the stop.
                create.wait_for_phase("copy 1");
                std::this_thread::sleep_for(n * 15ms);
                create.signal(signal);
                // The writers get on, whatever the program has got of the node.
                changing.wait_until_they_get_on();
                CHECK(changing.longest() < longest_wait_ms);
                create.signal(SIGKILL);
                wait_until_idle(broker);
            }
        }
        changing.stop();
        const TempDir files;
        check_next_backup(broker, files / "repository");
    }
}

TEST_CASE("an export that is killed fails its backup, and no more") {
    for (const auto& store : stores()) {
        if (store == "mnesia") {
            continue;  // It has none: integration.killed_program.
        }
        Broker& broker = broker_with(store);
        add_ballast(broker);
        const TempDir files;
        RunningCreate create(broker, files / "repository");
        create.stop_in_stream();
        broker.eval(
            "[exit(P, kill) || P <- processes(), {current_stacktrace, S} <- "
            "[process_info(P, current_stacktrace)], "
            "lists:keymember(rabbit_hot_backup_export, 1, S)].");
        create.signal(SIGCONT);
        check_one_error(create.wait(1min), 1);
        wait_until_idle(broker);
        check_next_backup(broker, files / "repository");
    }
}
