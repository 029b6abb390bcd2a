// archive, as an operator and as the plugin run it.
#include "tests/cli/samples.hpp"
#include "tests/harness/cli.hpp"
#include "tests/harness/process.hpp"
#include "tests/harness/temp_dir.hpp"
#include "tests/harness/wait.hpp"

#include <sys/stat.h>
#include <catch2/catch.hpp>

#include <csignal>

using namespace hot_backup;
using namespace cli_test;
using Catch::Contains;
using harness::run_cli;

namespace {

constexpr std::size_t max_frame = std::size_t{256} << 10;

std::vector<std::string> frames_of(const std::string& output) {
    std::vector<std::string> frames;
    std::size_t at = 0;
    while (at + 4 <= output.size()) {
        std::size_t size = 0;
        for (std::size_t i = 0; i < 4; ++i) {
            size = size << 8U | static_cast<unsigned char>(output[at + i]);
        }
        REQUIRE(at + 4 + size <= output.size());
        frames.push_back(output.substr(at + 4, size));
        at += 4 + size;
    }
    REQUIRE(at == output.size());
    return frames;
}

harness::CliResult framed(const std::filesystem::path& repository, std::size_t demand) {
    return run_cli({"archive", "--framed", "-r", repository}, {{}, {}, std::string(demand, '.')});
}

}  // namespace

TEST_CASE("an archive is written to a file or to standard output, and restores anywhere") {
    const harness::TempDir files;
    const auto id = make_backup(files / "r");
    const auto to_file =
        run_cli({"archive", id, "-o", files / "it.tar", "-r", files / "r", "--json"});
    REQUIRE(to_file.exit_code == 0);
    CHECK(to_file.line("summary")["backup"] == id);
    CHECK(to_file.line("summary")["bytes"] == std::filesystem::file_size(files / "it.tar"));
    struct stat status {};
    REQUIRE(::stat((files / "it.tar").c_str(), &status) == 0);
    CHECK((status.st_mode & 07777U) == 0600U);

    const auto piped = run_cli({"archive", "-r", files / "r"});
    CHECK(piped.exit_code == 0);
    CHECK(piped.error_output.empty());
    CHECK(piped.output.size() == std::filesystem::file_size(files / "it.tar"));

    REQUIRE(harness::run("tar", {"-xf", files / "it.tar", "-C", files.path(), "--no-same-owner"})
                .exit_code == 0);
    const auto unpacked = files / ("rabbitmq-hot-backup-" + id);
    CHECK(run_cli({"verify", "--all", "-r", unpacked}).exit_code == 0);
    CHECK(run_cli({"restore", "-r", unpacked, "--target-dir", files / "restored"}).exit_code == 0);
    CHECK(read_file(files / "restored" / "0.rdq") == "messages");
}

TEST_CASE("an archive is nothing for a terminal, nor for --json") {
    const harness::TempDir files;
    make_backup(files / "r");
    const std::string command =
        "'" + harness::cli_path().string() + "' archive -r '" + (files / "r").string() + "'";
    const auto terminal = harness::run("script", {"-qec", command, "/dev/null"});
    CHECK(terminal.exit_code == 2);
    CHECK_THAT(terminal.output, Contains("HINT: ") && Contains("--output"));
    CHECK(run_cli({"archive", "-r", files / "r", "--json"}).exit_code == 2);
    CHECK(run_cli({"archive", "-r", files / "r", "--framed", "-o", "x"}).exit_code == 2);
    CHECK(run_cli({"archive", "-r", files / "nothing"}).exit_code == 10);
    CHECK(run_cli({"archive", "20010101", "-r", files / "r"}).exit_code == 10);
}

TEST_CASE("damage ends an archive with an error, and leaves no file") {
    const harness::TempDir files;
    const auto id = make_backup(files / "r");
    flip_last_bit(files / "r" / "packs" / (id + ".0001.pack"));
    const auto to_file = run_cli({"archive", "-o", files / "it.tar", "-r", files / "r"});
    CHECK(to_file.exit_code == 3);
    CHECK_THAT(to_file.error_output, Contains(id + ".0001.pack"));
    CHECK(posix_file_system().list(files.path()) == std::vector<std::string>{"r"});

    const auto piped = run_cli({"archive", "-r", files / "r"});
    CHECK(piped.exit_code == 3);
    CHECK_THAT(piped.output, !Contains("repository.json"));
}

TEST_CASE("a full disk and a reader that goes away are errors") {
    const harness::TempDir files;
    make_backup(files / "r", {.content = std::string(8'000'000, 'x')});
    const auto shell = [&](const std::string& command) {
        return harness::run("/bin/sh", {"-c", command, harness::cli_path(), files / "r"});
    };
    const auto full = shell("exec \"$0\" archive -r \"$1\" > /dev/full");
    CHECK(full.exit_code == 1);
    CHECK_THAT(full.error_output, Contains("HINT: "));
    const auto gone = shell("{ \"$0\" archive -r \"$1\"; echo $? >&2; } | head -c 100 > /dev/null");
    CHECK_THAT(gone.error_output, Contains("ERROR: ") && Contains("1\n"));
}

TEST_CASE("frames: what it is, the tar, an empty one, how it went") {
    const harness::TempDir files;
    const auto id = make_backup(files / "r", {.content = std::string(1'000'000, 'x')});
    const auto result = framed(files / "r", 100);
    REQUIRE(result.exit_code == 0);
    const auto frames = frames_of(result.output);
    REQUIRE(frames.size() >= 7);
    const auto head = nlohmann::json::parse(frames.front());
    CHECK(head["name"] == "rabbitmq-hot-backup-" + id + ".tar");
    CHECK(head["backup"] == id);
    std::string tar;
    for (std::size_t i = 1; i + 2 < frames.size(); ++i) {
        CHECK_FALSE(frames[i].empty());
        CHECK(frames[i].size() <= max_frame);
        tar += frames[i];
    }
    CHECK(head["bytes"] == tar.size());
    CHECK(frames[frames.size() - 2].empty());
    const auto last = nlohmann::json::parse(frames.back());
    CHECK(last["message_type"] == "summary");
    CHECK(last["bytes"] == tar.size());
    CHECK(tar.size() == run_cli({"archive", "-r", files / "r"}).output.size());
}

TEST_CASE("each frame waits until it is asked for, and the end of the questions ends it") {
    const harness::TempDir files;
    make_backup(files / "r", {.content = std::string(1'000'000, 'x')});
    for (std::size_t demand = 0; demand < 6; ++demand) {
        CAPTURE(demand);
        const auto result = framed(files / "r", demand);
        CHECK(result.exit_code == 130);
        CHECK(frames_of(result.output).size() == demand);
    }
}

TEST_CASE("a signal ends an archive whose reader asks for nothing") {
    const harness::TempDir files;
    make_backup(files / "r");
    REQUIRE(::mkfifo((files / "demand").c_str(), 0600) == 0);
    // The shell holds the other end of the pipe open and never writes.
    harness::Process waiting(
        "/bin/sh", {"-c",
                    "exec 3<> \"$2\"; echo $$ > \"$2.pid\"; exec \"$0\" archive --framed -r \"$1\" "
                    "< \"$2\"",
                    harness::cli_path(), files / "r", files / "demand"});
    harness::wait_for("the command to wait for a question", std::chrono::seconds(20), [&] {
        const auto pid = std::to_string(waiting.pid());
        return read_file("/proc/" + pid + "/comm") == "rabbitmq-hot-ba\n" &&
               read_file("/proc/" + pid + "/wchan").find("pipe") != std::string::npos;
    });
    waiting.signal(SIGTERM);
    CHECK(waiting.wait().exit_code == 130);
    CHECK(waiting.output().empty());
}

TEST_CASE("an error is a frame: the first one, or after an early end of the tar") {
    const harness::TempDir files;
    const auto none = framed(files / "nothing", 9);
    CHECK(none.exit_code == 10);
    const auto first = frames_of(none.output);
    REQUIRE(first.size() == 1);
    const auto error = nlohmann::json::parse(first.front());
    CHECK(error["message_type"] == "error");
    CHECK(error["exit_code"] == 10);
    CHECK_FALSE(error["hint"].get<std::string>().empty());

    const auto id = make_backup(files / "r", {.content = std::string(1'000'000, 'x')});
    flip_last_bit(files / "r" / "packs" / (id + ".0001.pack"));
    const auto damaged = framed(files / "r", 99);
    CHECK(damaged.exit_code == 3);
    const auto frames = frames_of(damaged.output);
    REQUIRE(frames.size() >= 3);
    CHECK(frames[frames.size() - 2].empty());
    CHECK(nlohmann::json::parse(frames.back())["exit_code"] == 3);
    std::size_t sent = 0;
    for (std::size_t i = 1; i + 1 < frames.size(); ++i) {
        sent += frames[i].size();
    }
    CHECK(sent < nlohmann::json::parse(frames.front())["bytes"].get<std::size_t>());
}
