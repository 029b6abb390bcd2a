// prune, as an operator runs it. What it keeps is tested in tests/repository/retention_test.cpp.
#include "sidecar/repository/marks.hpp"
#include "tests/cli/samples.hpp"
#include "tests/harness/cli.hpp"
#include "tests/harness/process.hpp"
#include "tests/harness/temp_dir.hpp"

#include <catch2/catch.hpp>

#include <csignal>

using namespace hot_backup;
using namespace cli_test;
using Catch::Contains;
using harness::run_cli;

namespace {

Repository open(const std::filesystem::path& directory) {
    return Repository::open(posix_file_system(), directory);
}

harness::CliResult prune(const std::filesystem::path& repository,
                         std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "prune");
    arguments.insert(arguments.end(), {"-r", repository, "--json"});
    return run_cli(arguments);
}

void mark(const std::filesystem::path& repository, const std::string& id, bool intact) {
    const Check check{now(), intact ? 0U : 1U, 1, 2, "0.1.0", ""};
    record_check(open(repository), id, CheckKind::verified, check);
}

// The decision about a backup.
nlohmann::json decision(const harness::CliResult& result, const std::string& id) {
    for (const auto& line : result.lines) {
        if (line.value("backup", "") == id) {
            return line;
        }
    }
    return {};
}

bool all_whole(const std::filesystem::path& repository) {
    return run_cli({"verify", "--all", "-r", repository}).exit_code == 0;
}

}  // namespace

TEST_CASE("prune needs a rule") {
    const harness::TempDir files;
    make_backup(files / "r");
    for (const std::vector<std::string>& arguments :
         {std::vector<std::string>{},
          {"--dry-run"},
          {"--keep-last", "0"},
          {"--keep-daily", "-1"},
          {"--keep-daily", "many"},
          {"--keep-daily", "7", "--time-zone", "Mars"}}) {
        const auto refused = prune(files / "r", arguments);
        CHECK(refused.exit_code == 2);
        CHECK_FALSE(refused.line("error")["hint"].get<std::string>().empty());
    }
    CHECK(open(files / "r").list().size() == 1);
    CHECK(prune(files / "nothing", {"--keep-last", "1"}).exit_code == 10);
}

TEST_CASE("prune deletes what no rule keeps, and says why the rest stays") {
    const harness::TempDir files;
    const auto repository = files / "r";
    const auto older = make_backup(repository, {.instant = "2026-11-20T07:00:00Z"});
    const auto old = make_backup(repository, {.instant = "2026-11-21T07:00:00Z"});
    const auto there =
        make_backup(repository, {.instant = "2026-11-21T08:00:00Z", .node = "rabbit@there"});
    const auto latest = make_backup(repository, {.instant = "2026-11-22T07:00:00Z"});

    const auto dry = prune(repository, {"--keep-daily", "2", "--dry-run"});
    REQUIRE(dry.exit_code == 0);
    CHECK(open(repository).list().size() == 4);
    CHECK(dry.line("summary")["dry_run"] == true);
    CHECK(dry.line("summary")["time_zone"] == "local");

    const auto done = prune(repository, {"--keep-daily", "2", "--time-zone", "utc"});
    REQUIRE(done.exit_code == 0);
    CHECK(open(repository).list() == std::vector<std::string>{old, there, latest});
    for (const auto& result : {dry, done}) {
        CHECK(decision(result, older)["keep"] == false);
        CHECK(decision(result, older)["reasons"].empty());
        CHECK(decision(result, old)["reasons"] == nlohmann::json{"daily"});
        CHECK(decision(result, there)["node"] == "rabbit@there");
        CHECK(decision(result, latest)["reasons"] == nlohmann::json({"daily", "newest_readable"}));
        CHECK(result.line("summary")["removed"] == nlohmann::json{older});
        CHECK(result.line("summary")["kept"] == 3);
        CHECK(result.line("summary")["bytes_freed"] == decision(result, older)["pack_bytes"]);
    }
    CHECK(done.line("summary")["time_zone"] == "utc");
    CHECK(std::filesystem::exists(repository / "packs" / (old + ".0001.pack")));
    CHECK_FALSE(std::filesystem::exists(repository / "packs" / (older + ".0001.pack")));
    CHECK(all_whole(repository));
}

TEST_CASE("prune says in words what it does, and in which calendar") {
    const harness::TempDir files;
    const auto repository = files / "r";
    const auto first = make_backup(repository, {.instant = "2026-11-21T22:30:00Z"});
    const auto second = make_backup(repository, {.instant = "2026-11-21T23:30:00Z"});
    const auto run = [&](const char* zone, std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), {"prune", "--dry-run", "-r", repository});
        return run_cli(arguments, {{{"TZ", zone}}, {}, {}}).output;
    };
    const auto local = run("CET-1CEST,M3.5.0,M10.5.0/3", {"--keep-daily", "5"});
    CHECK_THAT(local, Contains("begin in local time (now CE"));
    CHECK_THAT(local, Contains(first + "  keep    daily\n"));
    CHECK_THAT(local, Contains(second + "  keep    daily, newest readable\n"));
    CHECK_THAT(local, Contains("0 backups would be removed, 2 kept"));
    const auto utc = run("CET-1CEST,M3.5.0,M10.5.0/3", {"--keep-daily", "5", "--time-zone", "utc"});
    CHECK_THAT(utc, Contains("begin in UTC\n"));
    CHECK_THAT(utc, Contains(first + "  would remove  "));
    CHECK_THAT(utc, Contains("1 backup would be removed, 1 kept"));
}

TEST_CASE("what is protected, the last that verifies, and what cannot be read is never pruned") {
    const harness::TempDir files;
    const auto repository = files / "r";
    const auto kept = make_backup(repository, {.instant = "2026-11-18T07:00:00Z"});
    const auto unreadable = make_backup(repository, {.instant = "2026-11-19T07:00:00Z"});
    const auto damaged = make_backup(repository, {.instant = "2026-11-20T07:00:00Z"});
    const auto intact = make_backup(repository, {.instant = "2026-11-21T07:00:00Z"});
    const auto latest = make_backup(repository, {.instant = "2026-11-22T07:00:00Z"});
    REQUIRE(run_cli({"protect", kept, "-r", repository}).exit_code == 0);
    mark(repository, intact, true);
    mark(repository, damaged, false);
    const auto manifest = open(repository).manifest_path(unreadable);
    std::filesystem::resize_file(manifest, std::filesystem::file_size(manifest) - 1);

    const auto done = prune(repository, {"--keep-last", "1"});
    REQUIRE(done.exit_code == 0);
    CHECK(open(repository).list() == std::vector<std::string>{kept, unreadable, intact, latest});
    CHECK(decision(done, kept)["reasons"] == nlohmann::json{"protected"});
    CHECK(decision(done, unreadable)["reasons"] == nlohmann::json{"unreadable"});
    CHECK(decision(done, unreadable).contains("unreadable"));
    CHECK(decision(done, intact)["reasons"] == nlohmann::json{"newest_intact"});
    CHECK(decision(done, damaged)["keep"] == false);
    CHECK(decision(done, latest)["reasons"] == nlohmann::json{"last"});

    const auto plain = run_cli({"prune", "--keep-last", "1", "-r", repository});
    CHECK(plain.exit_code == 0);
    CHECK_THAT(plain.error_output, Contains("WARNING: 1 backup cannot be read"));
}

TEST_CASE("prune is a writer, its dry run is none") {
    const harness::TempDir files;
    make_backup(files / "r");
    const Lock lock(posix_file_system(), files / "r", "create");
    CHECK(prune(files / "r", {"--keep-last", "1"}).exit_code == 11);
    CHECK(prune(files / "r", {"--keep-last", "1", "--dry-run"}).exit_code == 0);
}

TEST_CASE("prune removes what an earlier one that was interrupted has left") {
    const harness::TempDir files;
    const auto repository = files / "r";
    const auto first = make_backup(repository);
    const auto second = make_backup(repository);
    // As it is between the removal of a manifest and that of its packs.
    std::filesystem::remove(open(repository).manifest_path(first));
    const auto done = prune(repository, {"--keep-last", "5"});
    CHECK(done.line("summary")["removed"].empty());
    CHECK(done.line("summary")["bytes_freed"] > 0);
    CHECK_FALSE(std::filesystem::exists(repository / "packs" / (first + ".0001.pack")));
    CHECK(open(repository).list() == std::vector<std::string>{second});
}

TEST_CASE("prune that is killed at any moment leaves whole backups only") {
    for (int delay = 0; delay < 20; ++delay) {
        const harness::TempDir files;
        const auto repository = files / "r";
        for (int i = 0; i < 12; ++i) {
            make_backup(repository);
        }
        harness::Process pruning(harness::cli_path(),
                                 {"prune", "--keep-last", "1", "-r", repository});
        pruning.wait_at_most(std::chrono::milliseconds(delay));
        pruning.signal(SIGKILL);
        pruning.wait();
        CAPTURE(delay);
        CHECK_FALSE(open(repository).list().empty());
        CHECK(all_whole(repository));
        CHECK(prune(repository, {"--keep-last", "1"}).exit_code == 0);
        CHECK(open(repository).list().size() == 1);
        CHECK(posix_file_system().list(repository / "packs").size() == 1);
    }
}
