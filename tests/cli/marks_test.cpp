// protect, unprotect, and what verify leaves behind for list and show.
#include "sidecar/repository/marks.hpp"
#include "tests/cli/samples.hpp"
#include "tests/harness/cli.hpp"
#include "tests/harness/temp_dir.hpp"

#include <sys/mount.h>
#include <unistd.h>
#include <catch2/catch.hpp>

using namespace hot_backup;
using namespace cli_test;
using Catch::Contains;
using harness::run_cli;

namespace {

nlohmann::json listed(const std::filesystem::path& repository, const std::string& id) {
    for (const auto& line : run_cli({"list", "-r", repository, "--json"}).lines) {
        if (line.value("backup", "") == id) {
            return line;
        }
    }
    return {};
}

nlohmann::json shown(const std::filesystem::path& repository, const std::string& id) {
    return run_cli({"show", id, "-r", repository, "--json"}).line("summary");
}

}  // namespace

TEST_CASE("a protected backup is refused by delete, and told by list and show") {
    const harness::TempDir files;
    const auto repository = files / "r";
    const auto first = make_backup(repository);
    const auto second = make_backup(repository);

    const auto protected_both = run_cli(
        {"protect", first, "latest", "--reason", "before the audit", "-r", repository, "--json"});
    REQUIRE(protected_both.exit_code == 0);
    REQUIRE(protected_both.lines.size() == 2);
    CHECK(protected_both.lines[0]["backup"] == first);
    CHECK(protected_both.lines[1]["backup"] == second);
    CHECK(protected_both.lines[1]["protected"] == true);

    for (const auto& json : {listed(repository, first), shown(repository, first)}) {
        CHECK(json["protected"] == true);
        CHECK(json["protection"]["reason"] == "before the audit");
        CHECK(json["protection"]["when"].is_string());
        CHECK(json["verified"].is_null());
        CHECK(json["booted"].is_null());
    }
    CHECK_THAT(run_cli({"list", "-r", repository}).output,
               Contains("VERIFIED") && Contains("never") && Contains("yes"));
    CHECK_THAT(run_cli({"show", first, "-r", repository}).output,
               Contains("protected   since ") && Contains(": before the audit") &&
                   Contains("verified    never"));

    const auto refused = run_cli({"delete", first, "-r", repository, "--json"});
    CHECK(refused.exit_code == 13);
    CHECK(refused.line("error")["message"] ==
          "backup " + first + " is protected: before the audit");
    CHECK_THAT(refused.line("error")["hint"].get<std::string>(), Contains("unprotect " + first));

    const auto freed = run_cli({"unprotect", first, "-r", repository, "--json"});
    CHECK(freed.line("summary")["was_protected"] == true);
    CHECK(run_cli({"unprotect", first, "-r", repository, "--json"})
              .line("summary")["was_protected"] == false);
    // One of two is protected: neither goes.
    CHECK(run_cli({"delete", first, second, "-r", repository}).exit_code == 13);
    CHECK_FALSE(listed(repository, first).is_null());
    CHECK_FALSE(listed(repository, second).is_null());
    CHECK(run_cli({"delete", first, "-r", repository}).exit_code == 0);
    CHECK_FALSE(std::filesystem::exists(repository / "marks" / (first + ".protected")));
}

TEST_CASE("protect works while another process holds the repository") {
    const harness::TempDir files;
    const auto id = make_backup(files / "r");
    const Lock lock(posix_file_system(), files / "r", "create");
    CHECK(run_cli({"protect", id, "-r", files / "r"}).exit_code == 0);
    CHECK(run_cli({"unprotect", id, "-r", files / "r"}).exit_code == 0);
    CHECK(run_cli({"delete", id, "-r", files / "r"}).exit_code == 11);
}

TEST_CASE("a wrong use of protect changes nothing") {
    const harness::TempDir files;
    const auto repository = files / "r";
    const auto id = make_backup(repository);
    CHECK(run_cli({"protect", "-r", repository}).exit_code == 2);
    CHECK(
        run_cli({"protect", id, "--reason", std::string(1001, 'x'), "-r", repository}).exit_code ==
        2);
    CHECK(run_cli({"protect", id, "20010101", "-r", repository}).exit_code == 10);
    CHECK(run_cli({"protect", id, "-r", files / "nothing"}).exit_code == 10);
    CHECK(listed(repository, id)["protected"] == false);
}

TEST_CASE("a reason that is no text, or no line, does no harm") {
    const harness::TempDir files;
    const auto repository = files / "r";
    const auto id = make_backup(repository);
    REQUIRE(run_cli({"protect", id, "--reason", "a\nb\x1b[2J \xff \u00fc", "-r", repository})
                .exit_code == 0);
    CHECK(listed(repository, id)["protection"]["reason"] == "a\nb\x1b[2J \ufffd \u00fc");
    CHECK_THAT(run_cli({"show", id, "-r", repository}).output, Contains("a\\x0ab\\x1b[2J"));
}

TEST_CASE("verify leaves its result, and list and show tell it") {
    const harness::TempDir files;
    const auto repository = files / "r";
    const auto id = make_backup(repository);

    const auto verified = run_cli({"verify", id, "-r", repository, "--json"});
    REQUIRE(verified.exit_code == 0);
    CHECK(verified.line("summary")["recorded"] == true);
    for (const auto& json : {listed(repository, id), shown(repository, id)}) {
        CHECK(json["verified"]["outcome"] == "intact");
        CHECK(json["verified"]["findings"] == 0);
        CHECK(json["verified"]["bytes"] == verified.line("summary")["bytes"]);
        CHECK(json["verified"]["seconds"].is_number());
        CHECK(json["verified"]["when"].is_string());
        CHECK(json["verified"]["program"].is_string());
        CHECK(json["booted"].is_null());
    }
    CHECK_THAT(run_cli({"list", "-r", repository}).output, Contains("intact "));

    flip_last_bit(repository / "packs" / (id + ".0001.pack"));
    CHECK(run_cli({"verify", id, "-r", repository}).exit_code == 3);
    CHECK(listed(repository, id)["verified"]["outcome"] == "damaged");
    CHECK(listed(repository, id)["verified"]["findings"] == 1);
    CHECK_THAT(run_cli({"list", "-r", repository}).output, Contains("DAMAGED "));

    // Damage of the manifest itself is remembered as well.
    std::filesystem::resize_file(repository / "manifests" / (id + ".manifest"), 100);
    CHECK(run_cli({"verify", id, "-r", repository}).exit_code == 3);
    const auto unreadable = run_cli({"list", "-r", repository, "--json"});
    CHECK(unreadable.exit_code == 3);
    CHECK(unreadable.line("summary").contains("unreadable"));
    CHECK(unreadable.line("summary")["verified"]["outcome"] == "damaged");
}

TEST_CASE("list says all that a table of backups wants") {
    const harness::TempDir files;
    const auto id = make_backup(files / "r");
    const auto json = listed(files / "r", id);
    CHECK(json["instant"] == "2026-11-22T07:32:41.000000Z");
    CHECK(json["age_seconds"].is_number_integer());
    CHECK(json["seconds"] == 1.5);
    CHECK(json["bytes"].is_number_unsigned());
    CHECK(json["cut"]["pause_us"] == 6100);
    CHECK(json["counts"]["queues"] == 2);
    CHECK(json["messages"]["ready"] == 1200);
    CHECK(json["messages"]["unacknowledged"] == 34);
    CHECK(json["messages"]["bytes"] == 56'700'000);
    CHECK(json["node"] == "rabbit@here");
    CHECK_THAT(run_cli({"list", "-r", files / "r"}).output,
               Contains("6.1 ms     2       1234       never"));
}

TEST_CASE("a mark that cannot be written is a warning of verify, a mark of booting is shown") {
    const harness::TempDir files;
    const auto repository = files / "r";
    const auto id = make_backup(repository);
    // Where it leads there is nothing: even root cannot write there.
    std::filesystem::create_symlink("/proc/self/nothing", repository / "marks");
    const auto plain = run_cli({"verify", id, "-r", repository});
    CHECK(plain.exit_code == 0);
    CHECK_THAT(plain.output, Contains("whole"));
    CHECK_THAT(plain.error_output, Contains("WARNING: ") && Contains("marks"));
    const auto json = run_cli({"verify", id, "-r", repository, "--json"});
    CHECK(json.exit_code == 0);
    CHECK(json.line("summary")["recorded"] == false);

    std::filesystem::remove(repository / "marks");
    const Check booted{now(), 2, 52'000'000, 41'100'000, "0.1.0", "3.10.8"};
    record_check(Repository::open(posix_file_system(), repository), id, CheckKind::booted, booted);
    CHECK(listed(repository, id)["booted"]["outcome"] == "differs");
    CHECK(listed(repository, id)["booted"]["rabbitmq_version"] == "3.10.8");
    CHECK(listed(repository, id)["booted"]["seconds"] == 52.0);
    CHECK_THAT(run_cli({"list", "-r", repository}).output, Contains("DIFFERS "));
    CHECK_THAT(run_cli({"show", id, "-r", repository}).output,
               Contains("differs, 2 differences; 41.1 MB in 52.0 s, version 0.1.0, RabbitMQ "
                        "3.10.8"));
}
