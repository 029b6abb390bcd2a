// What a backup with messages may meet on a real machine: little space, few descriptors, few
// watches, a directory that it must not write to, its own end. The broker goes on serving, and what
// is listed is whole.
#include "tests/harness/amqp_client.hpp"
#include "tests/harness/temp_dir.hpp"
#include "tests/harness/wait.hpp"
#include "tests/integration/service_watch.hpp"
#include "tests/integration/support.hpp"

#include <catch2/catch.hpp>

#include <csignal>
#include <cstdlib>

using namespace harness;
using namespace integration;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t data_bytes = 48UL * 1000 * 1000;

// A broker with so many bytes of messages that copying them slowly takes long.
Broker& filled_broker() {
    static Broker& broker = [&]() -> Broker& {
        Broker& shared = shared_broker();
        AmqpClient client(shared.amqp_port());
        client.declare_queue("harmless");
        const std::string body(400'000, 'h');
        for (std::size_t bytes = 0; bytes < data_bytes; bytes += body.size()) {
            client.publish("", "harmless", body);
        }
        return shared;
    }();
    return broker;
}

std::vector<std::string> slow_create(const Broker& broker, const std::filesystem::path& to) {
    auto arguments = create_arguments(broker, to);
    arguments.insert(arguments.end(), {"--rate-limit", "4MB"});
    return arguments;
}

// A `create` that copies so slowly that it is met while it does.
struct SlowCreate : Process {
    SlowCreate(const Broker& broker, const std::filesystem::path& to)
        : Process(cli_path(), slow_create(broker, to), {broker.client_environment()}) {
        wait_for("the copy", 60s, [&] {
            return output().find("\"phase\":\"copy 1\"") != std::string::npos || !running();
        });
        REQUIRE(running());
    }
};

// Runs `create` after the lines of a shell script, in namespaces of its own: what the script mounts
// and limits there is seen by nobody else. $REPOSITORY and $DATA are set.
Result create_after(const std::string& script, const Broker& broker,
                    const std::filesystem::path& repository) {
    std::vector<std::string> arguments{
        "-Urm", "sh", "-c", "set -e\n" + script + "\nexec \"$@\"", "sh", cli_path()};
    for (const auto& argument : create_arguments(broker, repository)) {
        arguments.push_back(argument);
    }
    auto environment = broker.client_environment();
    environment["REPOSITORY"] = repository.string();
    environment["DATA"] = broker.data_directory().string();
    return run("unshare", arguments, {environment}, 2min);
}

}  // namespace

TEST_CASE("a program killed while it copies leaves nothing") {
    Broker& broker = filled_broker();
    const TempDir files;
    const auto repository = files / "repository";
    ServiceWatch service(broker);
    SlowCreate create(broker, repository);
    create.signal(SIGKILL);
    create.wait();
    service.wait_until_it_serves();
    wait_until_idle(broker);
    CHECK(listed(repository).empty());
    check_next_backup(broker, repository);
    service.finish();
}

TEST_CASE("a plugin that is disabled while files are copied ends the backup and is gone") {
    Broker& broker = filled_broker();
    const TempDir files;
    const auto repository = files / "repository";
    ServiceWatch service(broker);
    SlowCreate create(broker, repository);
    enable_only(broker, "");
    check_leftovers(broker);
    check_one_error(create.wait(), 1);
    CHECK(listed(repository).empty());
    service.wait_until_it_serves();
    enable_only(broker, "rabbitmq_hot_backup");
    check_next_backup(broker, repository);
    service.finish();
}

TEST_CASE("a program that stands still while it copies holds up nobody, and can go on") {
    Broker& broker = filled_broker();
    const TempDir files;
    const auto repository = files / "repository";
    ServiceWatch service(broker);
    SlowCreate create(broker, repository);
    create.signal(SIGSTOP);
    service.wait_until_it_serves();
    CHECK_FALSE(has_checkpoint(broker));
    create.signal(SIGCONT);
    const auto& result = create.wait(2min);
    INFO(result.output << result.error_output);
    CHECK(result.exit_code == 0);
    CHECK(check_listed_is_whole(repository) == 1);
    service.finish();
}

TEST_CASE("a broker killed while it is copied leaves no backup") {
    Broker broker;
    {
        AmqpClient client(broker.amqp_port());
        client.declare_queue("killed");
        for (int n = 0; n < 40; ++n) {
            client.publish("", "killed", std::string(400'000, 'k'));
        }
    }
    const TempDir files;
    SlowCreate create(broker, files / "repository");
    broker.kill9();
    check_one_error(create.wait(), 1);
    CHECK(listed(files / "repository").empty());
    broker.start();
    check_next_backup(broker, files / "repository");
}

TEST_CASE("a disk that is full while files are copied fails the backup and nothing else") {
    Broker& broker = filled_broker();
    const TempDir files;
    const auto repository = files / "repository";
    std::filesystem::create_directory(repository);
    ServiceWatch service(broker);
    const auto result =
        create_after("mount -t tmpfs -o size=20m none \"$REPOSITORY\"", broker, repository);
    CHECK_THAT(check_one_error(result, 1), Catch::Contains("space"));
    service.wait_until_it_serves();
    wait_until_idle(broker);
    check_next_backup(broker, repository);
    service.finish();
}

TEST_CASE("nothing is written to the node's directory: a backup works where it cannot") {
    Broker& broker = filled_broker();
    const TempDir files;
    const auto result = create_after(
        "mount --bind \"$DATA\" \"$DATA\"\n"
        "mount -o remount,bind,ro \"$DATA\"",
        broker, files / "repository");
    INFO(result.output << result.error_output);
    CHECK(result.exit_code == 0);
    CHECK(check_listed_is_whole(files / "repository") == 1);
}

TEST_CASE("too few watches make the stop longer, and a warning, but no error") {
    Broker& broker = filled_broker();
    const TempDir files;
    const auto result =
        create_after("echo 5 > /proc/sys/user/max_inotify_watches", broker, files / "repository");
    INFO(result.output << result.error_output);
    REQUIRE(result.exit_code == 0);
    CHECK_THAT(json_lines(result.output).back().at("warnings").dump(),
               Catch::Contains("max_user_watches"));
    CHECK(check_listed_is_whole(files / "repository") == 1);
}

TEST_CASE("too few descriptors are one clear error, or enough") {
    Broker& broker = filled_broker();
    const TempDir files;
    const auto repository = files / "repository";
    ServiceWatch service(broker);
    for (const int descriptors : {12, 16, 24, 40}) {
        INFO(descriptors);
        const auto result =
            create_after("ulimit -n " + std::to_string(descriptors), broker, repository);
        INFO(result.output << result.error_output);
        CHECK((result.exit_code == 0 || result.exit_code == 1 || result.exit_code == 12));
        service.wait_until_it_serves();
        wait_until_idle(broker);
        check_listed_is_whole(repository);
    }
    check_next_backup(broker, repository);
    service.finish();
}

TEST_CASE("thousands of queues, the node on tmpfs, the repository on a disk") {
    ::setenv("TMPDIR", "/dev/shm", 1);
    Broker broker;
    ::unsetenv("TMPDIR");
    constexpr int queues = 2000;
    AmqpClient client(broker.amqp_port());
    client.send_without_waiting();
    for (int n = 0; n < queues; ++n) {
        client.declare_queue("many." + std::to_string(n));
    }
    client.sync();
    const TempDir files;
    ServiceWatch service(broker);
    const auto created = create_backup(broker, files / "repository");
    INFO(created.output << created.error_output);
    REQUIRE(created.exit_code == 0);
    CHECK(created.line("summary").at("counts").at("queues") >= queues);
    CHECK(created.line("summary").at("cut").at("pause_us") < 250'000);
    CHECK(created.peak_rss_kib < 256 * 1024);
    CHECK(check_listed_is_whole(files / "repository") == 1);
    service.finish();
}
