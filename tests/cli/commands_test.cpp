// The commands on whole, damaged, foreign and locked repositories: what they print and how they
// exit.
#include "sidecar/engine/backup.hpp"
#include "sidecar/repository/repository.hpp"
#include "tests/engine/plugin_double.hpp"
#include "tests/harness/cli.hpp"
#include "tests/harness/process.hpp"
#include "tests/harness/temp_dir.hpp"
#include "tests/harness/wait.hpp"

#include <sys/stat.h>
#include <unistd.h>
#include <catch2/catch.hpp>

#include <csignal>
#include <fstream>
#include <iterator>

using namespace hot_backup;
using Catch::Contains;
using harness::run_cli;

namespace {

std::string make_backup(const std::filesystem::path& repository) {
    engine_test::Behaviour behaviour;
    behaviour.payloads = engine_test::small_snapshot();
    Broker broker(std::make_unique<engine_test::PluginDouble>(
        behaviour, std::make_shared<engine_test::Record>()));
    return back_up(broker, posix_file_system(), {repository, {}, {}, {}}, {}).id;
}

std::string read_file(const std::filesystem::path& path) {
    std::ifstream stream(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
}

void write_file(const std::filesystem::path& path, const std::string& content) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
}

// Runs a command on a repository; what it prints for people and for programs has to tell the same.
// Definitions go to a file: with --json they do not go to standard output.
harness::CliResult run_both(std::vector<std::string> arguments,
                            const std::filesystem::path& repository) {
    arguments.insert(arguments.end(), {"--repository", repository});
    if (arguments.front() == "definitions") {
        arguments.insert(arguments.end(), {"-o", repository.parent_path() / "definitions.out"});
    }
    const auto plain = run_cli(arguments);
    arguments.emplace_back("--json");
    auto json = run_cli(arguments);
    CHECK(plain.exit_code == json.exit_code);
    CHECK(json.error_output.empty());
    if (json.exit_code != 0) {
        const auto error = json.line("error");
        REQUIRE_FALSE(error.is_null());
        CHECK(error["exit_code"] == json.exit_code);
        CHECK_THAT(plain.error_output, Contains("ERROR: " + error["message"].get<std::string>()));
        CHECK_THAT(plain.error_output, Contains("HINT: " + error["hint"].get<std::string>()));
    } else {
        CHECK(plain.error_output.empty());
    }
    return json;
}

// How many backups there are.
std::size_t listed(const std::filesystem::path& repository) {
    const auto result = run_both({"list"}, repository);
    std::size_t backups = 0;
    for (const auto& line : result.lines) {
        backups += line.contains("backup") ? 1U : 0U;
    }
    return backups;
}

}  // namespace

TEST_CASE("a whole repository is listed, shown, verified, read and deleted") {
    const harness::TempDir files;
    const auto repository = files / "repository";
    const auto first = make_backup(repository);
    const auto second = make_backup(repository);
    REQUIRE(first < second);

    const auto list = run_both({"list"}, repository);
    REQUIRE(list.exit_code == 0);
    REQUIRE(list.lines.size() == 3);
    CHECK(list.lines[0]["backup"] == first);
    CHECK(list.lines[1]["backup"] == second);
    CHECK(list.lines[1]["counts"]["vhosts"] == 2);
    CHECK(list.lines[2]["message_type"] == "repository");
    CHECK(list.lines[2]["path"] == repository.string());
    CHECK(list.lines[2]["free_bytes"] <= list.lines[2]["total_bytes"]);

    for (const auto& id : {std::string("latest"), second}) {
        const auto show = run_both({"show", id}, repository);
        REQUIRE(show.exit_code == 0);
        CHECK(show.line("summary")["backup"] == second);
        CHECK(show.line("summary")["node"] == "rabbit@double");
        CHECK(show.line("summary")["file_list"].size() == show.line("summary")["files"]);
    }

    const auto verify = run_both({"verify", "--all"}, repository);
    CHECK(verify.exit_code == 0);
    CHECK(verify.line("summary")["whole"] == true);

    const auto definitions = run_cli({"definitions", first, "--repository", repository});
    REQUIRE(definitions.exit_code == 0);
    const auto json = nlohmann::json::parse(definitions.output);
    CHECK(json["rabbitmq_version"] == "3.10.8");
    CHECK(json["vhosts"].size() == 2);

    const auto removed = run_cli({"delete", first, "--repository", repository, "--json"});
    REQUIRE(removed.exit_code == 0);
    CHECK(removed.line("summary")["deleted"] == true);
    CHECK(listed(repository) == 1);
    CHECK(run_both({"verify", "--all"}, repository).exit_code == 0);
}

TEST_CASE("definitions go to a file that only its owner reads, or to none") {
    const harness::TempDir files;
    const auto repository = files / "repository";
    make_backup(repository);
    const auto output = files / "definitions.json";
    write_file(output, "old");

    REQUIRE(run_cli({"definitions", "-r", repository, "-o", output}).exit_code == 0);
    CHECK(nlohmann::json::parse(read_file(output))["users"].size() == 1);
    struct stat status {};
    REQUIRE(::stat(output.c_str(), &status) == 0);
    CHECK((status.st_mode & 07777U) == 0600U);
    CHECK_FALSE(std::filesystem::exists(output.string() + ".tmp"));
}

TEST_CASE("definitions are written to what is there, and replace nothing but files") {
    const harness::TempDir files;
    const auto repository = files / "repository";
    make_backup(repository);
    const auto definitions = [&](const std::filesystem::path& output) {
        return run_cli({"definitions", "-r", repository, "-o", output});
    };

    write_file(files / "target", "old");
    std::filesystem::create_symlink("target", files / "link");
    CHECK(definitions(files / "link").exit_code == 0);
    CHECK(std::filesystem::is_symlink(files / "link"));
    CHECK(nlohmann::json::parse(read_file(files / "target"))["users"].size() == 1);

    // A pipe stands for every special file; a test that needs root would not run for everyone.
    REQUIRE(::mkfifo((files / "pipe").c_str(), 0600) == 0);
    harness::Process reader("cat", {files / "pipe"});
    CHECK(definitions(files / "pipe").exit_code == 0);
    CHECK(nlohmann::json::parse(reader.wait().output)["users"].size() == 1);
    CHECK(std::filesystem::is_fifo(files / "pipe"));

    const auto nowhere = definitions(files / "no/such/file");
    CHECK(nowhere.exit_code == 1);
    CHECK_THAT(nowhere.error_output, Contains("no/such") && Contains("HINT: "));
    CHECK(run_cli({"definitions", "-r", repository, "--json"}).exit_code == 2);
}

TEST_CASE("a signal ends a command with 130, and one that was ignored is ignored on") {
    const harness::TempDir files;
    const auto repository = files / "repository";
    make_backup(repository);
    REQUIRE(::mkfifo((files / "pipe").c_str(), 0600) == 0);
    // It waits for a reader of the pipe, who never comes.
    harness::Process waiting(harness::cli_path(),
                             {"definitions", "-r", repository, "-o", files / "pipe"});
    const auto status_of = [](const harness::Process& process) {
        return read_file("/proc/" + std::to_string(process.pid()) + "/status");
    };
    const auto caught = [](const std::string& status, int signal) {
        const auto line = status.find("SigCgt:");
        return line != std::string::npos &&
               ((std::stoull(status.substr(line + 7), nullptr, 16) >> (signal - 1)) & 1U) != 0;
    };
    harness::wait_for("the command to sleep in the pipe", std::chrono::seconds(10), [&] {
        const auto status = status_of(waiting);
        return caught(status, SIGTERM) && status.find("State:\tS") != std::string::npos;
    });
    waiting.signal(SIGINT);
    CHECK(waiting.wait().exit_code == 130);
    CHECK_THAT(waiting.error_output(), Contains("interrupted"));

    harness::Process nohup("/bin/sh",
                           {"-c", "trap '' HUP; exec \"$0\" definitions -r \"$1\" -o \"$2\"",
                            harness::cli_path(), repository, files / "pipe"});
    std::string status;
    harness::wait_for("the program to have its handlers", std::chrono::seconds(10), [&] {
        status = status_of(nohup);
        return status.find("rabbitmq-hot-ba") != std::string::npos && caught(status, SIGTERM);
    });
    CHECK_FALSE(caught(status, SIGHUP));
}

TEST_CASE("output that does not arrive is an error") {
    const harness::TempDir files;
    const auto repository = files / "repository";
    make_backup(repository);
    for (const std::string command : {"list", "show", "definitions"}) {
        INFO(command);
        const auto result =
            harness::run("/bin/sh", {"-c", "exec \"$0\" \"$@\" > /dev/full", harness::cli_path(),
                                     command, "-r", repository});
        CHECK(result.exit_code == 1);
        CHECK_THAT(result.error_output, Contains("ERROR: "));
    }
}

TEST_CASE("progress is shown on a terminal and nowhere else") {
    const harness::TempDir files;
    const auto repository = files / "repository";
    make_backup(repository);
    const std::string command =
        "'" + harness::cli_path().string() + "' verify -r '" + repository.string() + "'";
    const auto terminal = harness::run("script", {"-qec", command, "/dev/null"});
    CHECK(terminal.exit_code == 0);
    CHECK_THAT(terminal.output, Contains("\r\x1b[Kverify ") && Contains("(100 %)"));
    const auto piped = harness::run("/bin/sh", {"-c", command});
    CHECK(piped.error_output.empty());
    CHECK_THAT(piped.output, !Contains("\x1b"));

    const auto json = run_cli({"verify", "-r", repository, "--json"});
    CHECK(json.line("status")["bytes_total"] == json.line("summary")["bytes"]);
}

TEST_CASE("what is not there is exit code 10") {
    const harness::TempDir files;
    for (const std::string command : {"list", "show", "verify", "definitions"}) {
        INFO(command);
        CHECK(run_both({command}, files / "nothing").exit_code == 10);
    }
    CHECK(run_both({"prune", "--keep-last", "1"}, files / "nothing").exit_code == 10);
    const auto repository = files / "repository";
    const auto id = make_backup(repository);
    for (const std::string command :
         {"show", "verify", "definitions", "delete", "protect", "unprotect"}) {
        INFO(command);
        CHECK(run_both({command, "20010101T000000.000Z"}, repository).exit_code == 10);
    }
    CHECK(run_both({"delete", id, "20010101"}, repository).exit_code == 10);
    CHECK(listed(repository) == 1);
    REQUIRE(run_cli({"delete", id, "-r", repository}).exit_code == 0);
    CHECK(run_both({"show", "latest"}, repository).exit_code == 10);
    CHECK(run_both({"list"}, repository).exit_code == 0);
    CHECK(run_both({"verify", "--all"}, repository).exit_code == 0);
}

TEST_CASE("wrong usage is exit code 2") {
    const harness::TempDir files;
    const auto repository = files / "repository";
    make_backup(repository);
    make_backup(repository);
    CHECK(run_cli({}).exit_code == 2);
    CHECK(run_cli({"restart"}).exit_code == 2);
    CHECK(run_cli({"list", "--verbose"}).exit_code == 2);
    CHECK(run_both({"verify", "latest", "--all"}, repository).exit_code == 2);
    CHECK(run_both({"show", "2"}, repository).exit_code == 2);
    CHECK(run_both({"delete"}, repository).exit_code == 2);
    CHECK(listed(repository) == 2);
}

TEST_CASE("help names the exit codes") {
    for (const std::vector<std::string>& arguments :
         {std::vector<std::string>{"--help"}, {"create", "--help"}, {"verify", "--help"}}) {
        const auto help = run_cli(arguments);
        CHECK(help.exit_code == 0);
        CHECK_THAT(help.output, Contains("10 no such backup") && Contains("130 interrupted"));
    }
    CHECK(run_cli({"--version"}).exit_code == 0);
}

TEST_CASE("damage of any file is found, named and exit code 3") {
    const harness::TempDir files;
    const auto repository = files / "repository";
    const auto id = make_backup(repository);
    const auto manifest = repository / "manifests" / (id + ".manifest");
    const auto pack = repository / "packs" / (id + ".0001.pack");

    SECTION("a flipped bit in a pack") {
        auto content = read_file(pack);
        content.back() = static_cast<char>(content.back() ^ 1);
        write_file(pack, content);
        const auto verify = run_both({"verify"}, repository);
        CHECK(verify.exit_code == 3);
        CHECK(verify.line("damage")["what"] == "file");
        CHECK(verify.line("damage")["name"] == "metadata/snapshot");
        CHECK(run_both({"definitions"}, repository).exit_code == 3);
        CHECK(run_both({"list"}, repository).exit_code == 0);
    }
    SECTION("a pack that is cut off") {
        std::filesystem::resize_file(pack, std::filesystem::file_size(pack) - 1);
        CHECK(run_both({"verify"}, repository).exit_code == 3);
    }
    SECTION("a pack that is gone") {
        std::filesystem::remove(pack);
        const auto verify = run_both({"verify"}, repository);
        CHECK(verify.exit_code == 3);
        CHECK_THAT(verify.output, Contains(id + ".0001"));
    }
    SECTION("a flipped bit in a manifest") {
        auto content = read_file(manifest);
        content[content.size() / 2] = static_cast<char>(content[content.size() / 2] ^ 1);
        write_file(manifest, content);
        CHECK(run_both({"verify"}, repository).exit_code == 3);
        CHECK(run_both({"show"}, repository).exit_code == 3);
        const auto list = run_both({"list"}, repository);
        CHECK(list.exit_code == 3);
        CHECK(list.line("summary")["backup"] == id);
        CHECK(list.line("summary").contains("unreadable"));
    }
    SECTION("a manifest that is cut off") {
        std::filesystem::resize_file(manifest, std::filesystem::file_size(manifest) / 2);
        CHECK(run_both({"verify"}, repository).exit_code == 3);
    }
    SECTION("a flipped bit in repository.json") {
        auto content = read_file(repository / "repository.json");
        content[10] = static_cast<char>(content[10] ^ 1);
        write_file(repository / "repository.json", content);
        CHECK(run_both({"list"}, repository).exit_code == 3);
    }
}

TEST_CASE("a damaged backup beside a whole one is told apart, and can be deleted") {
    const harness::TempDir files;
    const auto repository = files / "repository";
    const auto damaged = make_backup(repository);
    const auto whole = make_backup(repository);
    std::filesystem::resize_file(repository / "packs" / (damaged + ".0001.pack"), 200);

    const auto verify = run_both({"verify", "--all"}, repository);
    CHECK(verify.exit_code == 3);
    CHECK_THAT(verify.line("error")["message"].get<std::string>(), Contains("1 of 2"));
    CHECK(run_both({"verify", whole}, repository).exit_code == 0);
    // A name that vanishes between the listing and the reading, as by a delete: dangling.
    const auto ghost = repository / "manifests" / "20010101T000000.000Z.manifest";
    std::filesystem::create_symlink("nowhere", ghost);
    CHECK(run_both({"verify", "--all"}, repository).exit_code == 3);
    CHECK(run_both({"list"}, repository).exit_code == 0);
    std::filesystem::remove(ghost);
    // The same backup named twice is deleted once.
    CHECK(run_cli({"delete", damaged, damaged, "-r", repository}).exit_code == 0);
    CHECK(run_both({"verify", "--all"}, repository).exit_code == 0);
}

TEST_CASE("a directory of something else and a newer repository are left alone") {
    const harness::TempDir files;
    const auto foreign = files / "foreign";
    std::filesystem::create_directory(foreign);
    write_file(foreign / "precious", "data");
    const auto list = run_both({"list"}, foreign);
    CHECK(list.exit_code == 1);
    CHECK_THAT(list.line("error")["message"].get<std::string>(), Contains("foreign"));
    CHECK_THROWS_AS(make_backup(foreign), Error);
    CHECK(read_file(foreign / "precious") == "data");
    CHECK(std::distance(std::filesystem::directory_iterator(foreign), {}) == 1);

    const auto newer = files / "newer";
    make_backup(newer);
    auto content = read_file(newer / "repository.json");
    const auto version = content.find("\"version\":1");
    REQUIRE(version != std::string::npos);
    content.replace(version, 11, "\"version\":2");
    content.resize(content.find('\n') + 1);
    content += "{\"xxh3_128\":\"" + checksum(content).hex() + "\"}\n";
    write_file(newer / "repository.json", content);
    const auto refused = run_both({"list"}, newer);
    CHECK(refused.exit_code == 1);
    CHECK_THAT(refused.line("error")["hint"].get<std::string>(), Contains("pgrade"));
}

TEST_CASE("a repository that a living process writes to is locked, one of a dead process is not") {
    const harness::TempDir files;
    const auto repository = files / "repository";
    const auto id = make_backup(repository);
    {
        const Lock lock(posix_file_system(), repository, "create");
        const auto refused = run_both({"delete", id}, repository);
        CHECK(refused.exit_code == 11);
        CHECK_THAT(refused.line("error")["message"].get<std::string>(),
                   Contains(std::to_string(::getpid())) && Contains("create"));
        CHECK(run_both({"verify", id}, repository).exit_code == 0);
    }
    auto dead = this_process();
    dead.process_start += 1;
    {
        Lock lock(posix_file_system(), repository, "create", dead);
        // Its file outlives it, as after kill -9.
        std::filesystem::copy_file(lock.path(), repository / "kept");
    }
    std::filesystem::rename(repository / "kept", repository / "lock");
    CHECK(run_cli({"delete", id, "-r", repository}).exit_code == 0);
    CHECK_FALSE(std::filesystem::exists(repository / "lock"));
}
