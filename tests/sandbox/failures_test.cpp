// Restore drills that cannot be held, or are cut off: what is said, and that nothing stays.
#include "tests/harness/wait.hpp"
#include "tests/sandbox/support.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <csignal>

using namespace harness;
using namespace sandbox_test;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

// A directory that looks like a RabbitMQ server of this version.
void make_server(const fs::path& home, const std::string& version) {
    fs::create_directories(home / "sbin");
    fs::create_directories(home / "plugins" / ("rabbit-" + version));
    write_file(home / "sbin/rabbitmq-server", "#!/bin/sh\nexit 1\n");
    fs::permissions(home / "sbin/rabbitmq-server", fs::perms::owner_all);
}

std::string error_of(const CliResult& result, int exit_code) {
    INFO(result.output << result.error_output);
    CHECK(result.exit_code == exit_code);
    const auto error = result.line("error");
    REQUIRE(!error.is_null());
    CHECK_FALSE(error.at("hint").get<std::string>().empty());
    return error.at("message");
}

// Waits until the broker of a drill runs, or has booted.
Process& wait_for_broker(Process& drill, const fs::path& scratch, bool booted) {
    const auto is_broker = [](pid_t process) { return program_name(process) == "beam.smp"; };
    wait_for("the broker", 60s,
             [&] { return std::ranges::any_of(processes_of(scratch), is_broker); });
    const fs::path directory = scratch / names_in(scratch).back();
    wait_for("its boot", 60s, [&] {
        return !booted || read_file(directory / "1/log/rabbitmq-server.output").find("completed") !=
                              std::string::npos;
    });
    return drill;
}

}  // namespace

TEST_CASE("a broker that does not boot leaves its log and nothing else") {
    auto& node = backed_up_node();
    // Mnesia's schema; the names of the Raft servers where there is none.
    auto tables = paths_of(node.repository(), node.backup, "data/schema", ".DAT");
    if (tables.empty()) {
        tables = paths_of(node.repository(), node.backup, "data/coordination/", "/names.dets");
    }
    REQUIRE(tables.size() == 1);
    const auto broken =
        rewrite_backup(node.repository(), node.backup, {{tables.front(), "this is no table"}});
    const TempDir scratch;
    const auto result = drill(node.repository(), broken, scratch.path());
    CHECK(error_of(result, 1) ==
          "the sandbox broker of " + node.broker.node() + " ended while it booted");
    const auto left = names_in(scratch.path());
    REQUIRE(left.size() == 1);
    CHECK(left.front().ends_with(".log"));
    const auto log = scratch.path() / left.front();
    CHECK(result.line("error").at("hint").get<std::string>().find(log) != std::string::npos);
    CHECK(read_file(log).find(fs::path(tables.front()).stem()) != std::string::npos);
    CHECK((fs::status(log).permissions() & fs::perms::mask) ==
          (fs::perms::owner_read | fs::perms::owner_write));
    CHECK(processes_of(scratch.path()).empty());
}

TEST_CASE("a broker that takes too long is ended") {
    auto& node = backed_up_node();
    const TempDir scratch;
    const auto result =
        drill(node.repository(), node.backup, scratch.path(), {"--boot-timeout", "1"});
    CHECK(error_of(result, 1).find("did not boot within 1 s") != std::string::npos);
    CHECK(names_in(scratch.path()).size() == 1);
    CHECK(processes_of(scratch.path()).empty());
}

TEST_CASE("damaged bytes are not booted") {
    auto& node = backed_up_node();
    const TempDir files;
    fs::copy(node.repository(), files / "repository", fs::copy_options::recursive);
    for (const auto& pack : fs::directory_iterator(files / "repository/packs")) {
        std::string content = read_file(pack.path());
        content[content.size() / 2] = static_cast<char>(content[content.size() / 2] ^ 1);
        write_file(pack.path(), content);
    }
    const TempDir scratch;
    error_of(drill(files / "repository", node.backup, scratch.path()), 3);
    CHECK(names_in(scratch.path()).empty());
}

TEST_CASE("only a server that can boot the backup is booted") {
    auto& node = backed_up_node();
    const TempDir files;
    const TempDir scratch;
    const auto with = [&](const fs::path& home, const std::vector<std::string>& more = {}) {
        std::vector<std::string> arguments{"--rabbitmq-home", home};
        arguments.insert(arguments.end(), more.begin(), more.end());
        return error_of(drill(node.repository(), node.backup, scratch.path(), arguments), 1);
    };
    CHECK(with(files.path()) == files.path().string() + " holds no RabbitMQ server");
    make_server(files / "later", "99.0.1");
    const auto [major, minor, patch] = tested_version();
    const std::string line = std::to_string(major) + "." + std::to_string(minor) + ".";
    const std::string version = line + std::to_string(patch);
    CHECK(with(files / "later").ends_with("is version 99.0.1, the backup is of " + version));
    make_server(files / "earlier", line + std::to_string(patch - 1));
    CHECK(with(files / "earlier", {"--any-version"})
              .ends_with("the backup is of " + version + ": an earlier version cannot read it"));
    CHECK(names_in(scratch.path()).empty());
    // Then it is booted, and this one ends at once.
    CHECK(with(files / "later", {"--any-version"}).find("ended while it booted") !=
          std::string::npos);
}

TEST_CASE("a machine without RabbitMQ, and a scratch directory that is not there, are named") {
    auto& node = backed_up_node();
    const TempDir scratch;
    // A mount namespace of its own, in which the package's directory is empty.
    std::vector<std::string> arguments{
        "-Urm", "sh",      "-c", "mount -t tmpfs none /usr/lib/rabbitmq && exec \"$@\"",
        "sh",   cli_path()};
    const auto more = drill_arguments(node.repository(), node.backup, scratch.path());
    arguments.insert(arguments.end(), more.begin(), more.end());
    const auto result = run("unshare", arguments, {}, 1min);
    INFO(result.output << result.error_output);
    CHECK(result.exit_code == 1);
    CHECK(result.output.find("no RabbitMQ server on this machine") != std::string::npos);
    CHECK(names_in(scratch.path()).empty());

    CHECK(error_of(drill(node.repository(), node.backup, "/nonexistent/scratch"), 1)
              .find("/nonexistent/scratch") != std::string::npos);
}

TEST_CASE("what only a drill understands is refused without one") {
    const auto refused = [](const std::vector<std::string>& more) {
        std::vector<std::string> arguments{"verify", "--json"};
        arguments.insert(arguments.end(), more.begin(), more.end());
        return run_cli(arguments).exit_code == 2;
    };
    CHECK(refused({"--boot", "--all"}));
    CHECK(refused({"--scratch", "/tmp"}));
    CHECK(refused({"--any-version"}));
    CHECK(refused({"--boot", "--boot-timeout", "0"}));
}

TEST_CASE("kill -9 in the middle leaves no process, and the next drill removes the files") {
    auto& node = backed_up_node();
    const TempDir scratch;
    for (const bool booted : {false, true}) {
        Process program(cli_path(),
                        drill_arguments(node.repository(), node.backup, scratch.path()));
        wait_for_broker(program, scratch.path(), booted).signal(SIGKILL);
        program.wait();
        wait_for("the end of all processes", 10s,
                 [&] { return processes_of(scratch.path()).empty(); });
    }
    CHECK(names_in(scratch.path()).size() == 1);  // the second one removed the first one's
    const auto result = drill(node.repository(), node.backup, scratch.path());
    INFO(result.output);
    CHECK(result.exit_code == 0);
    CHECK(names_in(scratch.path()).empty());
}

TEST_CASE("an interrupt leaves nothing") {
    auto& node = backed_up_node();
    const TempDir scratch;
    for (const int signal : {SIGINT, SIGTERM}) {
        Process program(cli_path(),
                        drill_arguments(node.repository(), node.backup, scratch.path()));
        wait_for_broker(program, scratch.path(), false).signal(signal);
        CHECK(program.wait().exit_code == 130);
        CHECK(names_in(scratch.path()).empty());
        wait_for("the end of all processes", 10s,
                 [&] { return processes_of(scratch.path()).empty(); });
    }
}
