#include "sidecar/sandbox/scratch_directory.hpp"

#include "sidecar/sandbox/child_process.hpp"
#include "sidecar/sandbox/free_port.hpp"
#include "tests/harness/port.hpp"
#include "tests/harness/temp_dir.hpp"
#include "tests/harness/wait.hpp"

#include <catch2/catch.hpp>

#include <thread>

using namespace hot_backup;
using namespace std::chrono_literals;
using harness::read_file;
using harness::TempDir;
using harness::wait_for;
using harness::write_file;
namespace fs = std::filesystem;

namespace {

std::size_t count_in(const fs::path& directory) {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(directory), {}));
}

}  // namespace

TEST_CASE("a scratch directory is private and gone with its owner") {
    const TempDir parent;
    {
        const ScratchDirectory scratch(parent.path(), 0);
        CHECK(scratch.path().filename().string().starts_with("rabbitmq-hot-backup-boot-"));
        CHECK((fs::status(scratch.path()).permissions() & fs::perms::mask) == fs::perms::owner_all);
        fs::create_directory(scratch.path() / "read-only");
        write_file(scratch.path() / "read-only/file", "x");
        fs::permissions(scratch.path() / "read-only", fs::perms::owner_read);
    }
    CHECK(fs::is_empty(parent.path()));
}

TEST_CASE("what a killed process left is removed, what is in use or of others is not") {
    const TempDir parent;
    const auto leftover = parent / "rabbitmq-hot-backup-boot-dead00";
    fs::create_directories(leftover / "log");
    fs::create_directory(parent / "rabbitmq-hot-backup-other");
    write_file(parent / "rabbitmq-hot-backup-boot-dead00.log", "a log that was kept");
    fs::create_directory_symlink(parent / "rabbitmq-hot-backup-other",
                                 parent / "rabbitmq-hot-backup-boot-link00");
    const ScratchDirectory first(parent.path(), 0);
    const ScratchDirectory second(parent.path(), 0);
    CHECK_FALSE(fs::exists(leftover));
    CHECK(fs::exists(first.path()));
    CHECK(fs::exists(second.path()));
    CHECK(count_in(parent.path()) == 5);
}

TEST_CASE("a scratch directory is not removed as long as a process has inherited it") {
    const TempDir parent;
    fs::path path;
    std::optional<ChildProcess> child;
    {
        const ScratchDirectory scratch(parent.path(), 0);
        path = scratch.path();
        child.emplace(ChildOptions{.program = "/bin/sleep",
                                   .arguments = {"60"},
                                   .output = parent / "out",
                                   .inherited = scratch.lock()});
        // As if this process had been killed.
        fs::rename(path, parent / "aside");
    }
    fs::rename(parent / "aside", path);
    { const ScratchDirectory next(parent.path(), 0); }
    CHECK(fs::exists(path));
    child.reset();
    { const ScratchDirectory next(parent.path(), 0); }
    CHECK_FALSE(fs::exists(path));
}

TEST_CASE("what cannot be used as a place for a scratch directory is an error with a hint") {
    const TempDir parent;
    CHECK_THROWS_WITH(ScratchDirectory(parent / "nothing", 0), Catch::Contains("nothing"));
    CHECK_THROWS_WITH(ScratchDirectory(parent.path(), std::uint64_t{1} << 60U),
                      Catch::Contains("there is not enough space in"));
    CHECK(fs::is_empty(parent.path()));
}

TEST_CASE("a log that is kept lies beside the directory") {
    const TempDir parent;
    fs::path log;
    {
        const ScratchDirectory scratch(parent.path(), 0);
        log = scratch.leave("why\n");
        CHECK(log == scratch.path().string() + ".log");
    }
    CHECK(read_file(log) == "why\n");
    CHECK(count_in(parent.path()) == 1);
}

TEST_CASE("a child has the environment, the place and the descriptors that it is given") {
    const TempDir files;
    ChildProcess child({.program = "/bin/sh",
                        .arguments = {"-c", "env; pwd; echo /proc/self/fd/*; cat"},
                        .environment = {{"ONLY", "this"}},
                        .directory = files.path(),
                        .output = files / "out"});
    wait_for("its end", 10s, [&] { return !child.running(); });
    const auto output = read_file(files / "out");
    CHECK(output.find("ONLY=this\n") != std::string::npos);
    CHECK(output.find("HOME=") == std::string::npos);
    CHECK(output.find(files.path().string() + "\n") != std::string::npos);
    // And that with which the shell lists them.
    CHECK(output.find("/proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2") != std::string::npos);
    CHECK(output.find("/proc/self/fd/5") == std::string::npos);
}

TEST_CASE("a child ends with the thread that started it") {
    const TempDir files;
    std::optional<ChildProcess> child;
    std::thread([&] {
        child.emplace(
            ChildOptions{.program = "/bin/sleep", .arguments = {"60"}, .output = files / "out"});
    }).join();
    wait_for("its end", 10s, [&] { return !child->running(); });
}

TEST_CASE("a program that is not there is an error that names it") {
    const TempDir files;
    CHECK_THROWS_WITH(ChildProcess({.program = "/nowhere/program", .output = files / "out"}),
                      Catch::Contains("/nowhere/program"));
}

TEST_CASE("a free port can be listened on") {
    const auto port = free_loopback_port();
    CHECK(port >= 20'000);
    CHECK(port < 32'768);
    CHECK_FALSE(harness::accepts_connections(port));
}
