#include "tests/harness/process.hpp"

#include "erlang_port/error.hpp"
#include "tests/harness/wait.hpp"

#include <catch2/catch.hpp>

#include <csignal>

using namespace harness;
using namespace std::chrono_literals;

namespace {

Result shell(const std::string& script, const ProcessOptions& options = {}) {
    return run("sh", {"-c", script}, options);
}

bool exists(pid_t pid) {
    const std::string stat = read_file("/proc/" + std::to_string(pid) + "/stat");
    return !stat.empty() && stat[stat.rfind(')') + 2] != 'Z';
}

}  // namespace

TEST_CASE("a program gets its arguments, environment, directory and input") {
    const TempDir directory;
    const Result result = run(
        "sh", {"-c", "echo \"$1|$VALUE|${HOME-none}|$PWD\"; cat; echo no >&2; exit 7", "x", "a b"},
        {{{"VALUE", "é"}, {"HOME", std::nullopt}}, directory.path(), "input"});
    CHECK(result.output == "a b|é|none|" + directory.path().string() + "\ninput");
    CHECK(result.error_output == "no\n");
    CHECK(result.exit_code == 7);
    CHECK(result.wall.count() > 0);
}

TEST_CASE("output larger than any pipe does not block a program") {
    CHECK(shell("head -c 10000000 /dev/zero").output.size() == 10'000'000);
}

TEST_CASE("a signal that ended a program shows in its exit code") {
    CHECK(shell("kill -9 $$").exit_code == 128 + SIGKILL);
}

TEST_CASE("the peak memory of a program is measured") {
    const long small = run("tail", {"-n", "1", "/dev/null"}).peak_rss_kib;
    CHECK(small > 1'000);
    CHECK(small < 100'000);
    // `sort` keeps what is one line, here all of it.
    const TempDir directory;
    write_file(directory / "file", std::string(150'000'000, 'x'));
    CHECK(run("sort", {"-o", "/dev/null", directory / "file"}).peak_rss_kib > 146'000);
}

TEST_CASE("waiting for a program ends at the deadline") {
    Process process("sleep", {"600"});
    CHECK_FALSE(process.wait_at_most(20ms));
    CHECK_THROWS_AS(process.wait(1ms), hot_backup::Error);
    CHECK(process.running());
    process.signal(SIGTERM);
    CHECK(process.wait().exit_code == 128 + SIGTERM);
    CHECK_FALSE(process.running());
}

TEST_CASE("the output of a running program can be read") {
    Process process("sh", {"-c", "echo ready; exec sleep 600"});
    wait_for("output", 5s, [&] { return process.output() == "ready\n"; });
    CHECK(process.running());
}

TEST_CASE("what a program has started ends with it, in another session too") {
    pid_t child = 0;
    SECTION("when the object is destroyed") {
        Process process("sh", {"-c", "setsid sleep 600 & echo $!; wait"});
        wait_for("output", 5s, [&] { return process.output().ends_with('\n'); });
        child = std::stoi(process.output());
        REQUIRE(exists(child));
        wait_for("setsid", 5s, [&] {
            return descendants(process.pid()) == std::vector{child} &&
                   program_name(child) == "sleep";
        });
    }
    SECTION("when the program ends before what it has started") {
        child = std::stoi(shell("sleep 600 > /dev/null & echo $!").output);
    }
    wait_for("the end of the child", 5s, [&] { return !exists(child); });
}

TEST_CASE("a program ends when the test is killed") {
    // The grandchild stands for a broker, the child for the test that started it.
    const TempDir left_behind;
    int pipe_ends[2];
    REQUIRE(pipe(pipe_ends) == 0);
    const pid_t test = fork();
    if (test == 0) {
        setenv("TMPDIR", left_behind.path().c_str(), 1);
        Process process("sleep", {"600"});
        const pid_t pid = process.pid();
        const bool written = write(pipe_ends[1], &pid, sizeof pid) == sizeof pid;
        pause();
        _exit(written ? 0 : 1);
    }
    pid_t broker = 0;
    REQUIRE(read(pipe_ends[0], &broker, sizeof broker) == sizeof broker);
    CHECK(exists(broker));
    kill(test, SIGKILL);
    wait_for("its end", 5s, [&] { return !exists(broker); });
    close(pipe_ends[0]);
    close(pipe_ends[1]);
}

TEST_CASE("a program that is not there is an error") {
    CHECK_THROWS_AS(run("/no/such/program", {}), hot_backup::Error);
    CHECK_THROWS_AS(run("no-such-program", {}), hot_backup::Error);
}
