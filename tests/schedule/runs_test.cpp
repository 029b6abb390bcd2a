// Scheduled backups from hook to hook, what stops them, what is left out and what is caught up.
#include "tests/schedule/runs.hpp"
#include "sidecar/repository/repository.hpp"
#include "tests/harness/temp_dir.hpp"
#include "tests/harness/wait.hpp"
#include "tests/integration/support.hpp"

#include <catch2/catch.hpp>

#include <ctime>

using namespace harness;
using namespace integration;
using namespace schedule_tests;
using namespace std::chrono_literals;

TEST_CASE("a scheduled backup is verified, older ones go, and hooks are told") {
    const TempDir files;
    write_hook(files / "before",
               "echo \"$HOT_BACKUP_HOOK $HOT_BACKUP_ID\" >> " + (files / "told").string());
    write_hook(files / "after",
               "echo \"$HOT_BACKUP_HOOK $HOT_BACKUP_OUTCOME $HOT_BACKUP_ERROR\" >> " +
                   (files / "told").string() +
                   "\ntest -z \"$HOT_BACKUP_MANIFEST\" || cp \"$HOT_BACKUP_MANIFEST\" " +
                   (files / "manifest").string());
    BrokerOptions options;
    options.configuration = "hot_backup.retention.keep_last = 2\nhot_backup.hook.before = " +
                            (files / "before").string() +
                            "\nhot_backup.hook.after = " + (files / "after").string() +
                            "\nhot_backup.hook.timeout = 1s\n";
    const Broker broker(std::move(options));

    for (int i = 0; i < 3; ++i) {
        REQUIRE(run_now(broker) == "done");
    }
    const auto listed = backups(broker.repository());
    REQUIRE(listed.size() == 2);
    for (const auto& backup : listed) {
        CHECK(backup["verified"]["outcome"] == "intact");
    }
    CHECK(read_file(files / "told") ==
          "before \nafter done \nbefore \nafter done \nbefore \nafter done \n");
    CHECK_THAT(read_file(files / "manifest"),
               Catch::Contains(listed.back()["backup"].get<std::string>()));
    expect_last_failure(broker, "none");

    SECTION("a hook that fails stops it, and the one after it is told") {
        write_hook(files / "before", "exit 7");
        CHECK(run_now(broker) == "failed");
        CHECK(backups(broker.repository()) == listed);
        expect_last_failure(broker, "before ended with exit code 7");
        CHECK_THAT(read_file(files / "told"),
                   Catch::EndsWith("after failed the hook " + (files / "before").string() +
                                   " ended with exit code 7. What it printed is in the broker's "
                                   "log. Run it by hand as the user that RabbitMQ runs as.\n"));
        // What is well later resolves it.
        write_hook(files / "before", "");
        CHECK(run_now(broker) == "done");
        expect_last_failure(broker, "none");
    }
    SECTION("a hook that hangs is killed, and everything that it has started") {
        write_hook(files / "before",
                   "sleep 1000 & echo $! > " + (files / "child").string() + "; wait");
        CHECK(run_now(broker) == "failed");
        expect_last_failure(broker, "did not end within 1 s");
        const auto child = std::stoi(read_file(files / "child"));
        wait_for("the end of the hook's child", 5s, [&] { return program_name(child) != "sleep"; });
    }
    SECTION("too little free space stops it") {
        set(broker, "min_free_space", "1 bsl 60");
        CHECK(run_now(broker) == "failed");
        CHECK(backups(broker.repository()) == listed);
        expect_last_failure(broker, "min_free_space");
    }
    SECTION("one that does not verify removes nothing") {
        set(broker, "retention", "[{keep_last,1}]");
        damage_what_is_verified(broker, files / "program");
        CHECK(run_now(broker) == "failed");
        CHECK(backups(broker.repository()).size() == 3);
        expect_last_failure(broker, "job => verify");
        CHECK_THAT(read_file(files / "told"), Catch::Contains("after failed"));
    }
}

TEST_CASE("a repository that another node writes to is waited for, quietly") {
    const TempDir files;
    write_hook(files / "hook", "");
    BrokerOptions options;
    options.configuration = "hot_backup.hook.before = " + (files / "hook").string() +
                            "\nhot_backup.retention.keep_last = 5\n";
    const Broker broker(std::move(options));
    auto& disk = hot_backup::posix_file_system();
    const auto repository = hot_backup::Repository::open_or_create(disk, broker.repository());
    auto other = std::make_unique<hot_backup::Lock>(disk, repository.directory(), "create");

    REQUIRE(broker.eval("rabbit_hot_backup_schedule:run_now().").is_atom("ok"));
    const auto lines_with = [&](const std::string& text) {
        const auto log = broker.log();
        int count = 0;
        for (auto at = log.find(text); at != std::string::npos; at = log.find(text, at + 1)) {
            ++count;
        }
        return count;
    };
    wait_for("the job to wait", 30s, [&] { return lines_with("waiting for the repository") > 0; });
    // It has looked again meanwhile, and again.
    const auto later = std::chrono::steady_clock::now() + 5s;
    wait_for("some seconds", 10s, [&] { return std::chrono::steady_clock::now() > later; });
    other.reset();
    wait_for("the run", 90s, [&] { return is_idle(broker); });
    const auto listed = backups(broker.repository());
    REQUIRE(listed.size() == 1);
    CHECK(listed[0]["verified"]["outcome"] == "intact");
    // One job, one line when it begins to wait and one when it goes on.
    CHECK(broker.eval("length([J || #{kind := backup} = J <- rabbit_hot_backup:history()]) =:= 1.")
              .is_atom("true"));
    wait_for("the log", 20s, [&] { return lines_with("goes on") > 0; });
    CHECK(lines_with("waiting for the repository") == 1);
    CHECK(lines_with("goes on") == 1);
    expect_last_failure(broker, "none");
    // The backup's own log has all of it, the hook first.
    const auto log = run_cli({"show", "-r", broker.repository(), "--list", "log", "--json"}).lines;
    CHECK(log[0]["text"].get<std::string>().find("hook before the backup") == 0);
    CHECK(log[1]["event"] == "wait");
    CHECK(log[2]["event"] == "wait");
}

TEST_CASE("what runs ends with the plugin, whatever it does") {
    const TempDir files;
    const Broker broker{BrokerOptions{}};
    write_hook(files / "program", "trap '' TERM; echo $$ > " + files.path().string() +
                                      "/$1; while :; do sleep 0.1; done");
    set(broker, "executable", "\"" + (files / "program").string() + "\"");
    broker.eval(
        "A = #{user => <<\"somebody\">>}, "
        "[spawn(fun() -> rabbit_hot_backup:prune([], {remove, 0}, A) end), "
        "spawn(fun() -> rabbit_hot_backup:delete(<<\"latest\">>, A) end), "
        "spawn(fun() -> rabbit_hot_backup:start_verification(<<\"latest\">>, A) end)], ok.");
    std::vector<int> pids;
    for (const auto* name : {"prune", "delete", "verify"}) {
        wait_for(name, 30s, [&] {
            return std::filesystem::exists(files / name) && !read_file(files / name).empty();
        });
        pids.push_back(std::stoi(read_file(files / name)));
    }
    const auto begin = std::chrono::steady_clock::now();
    REQUIRE(broker.eval("application:stop(rabbitmq_hot_backup).").is_atom("ok"));
    CHECK(std::chrono::steady_clock::now() - begin < 15s);
    for (const auto pid : pids) {
        CHECK(program_name(pid).empty());
    }
}

TEST_CASE("a backup that somebody asks for is verified, and nothing goes for it") {
    BrokerOptions options;
    options.configuration = "hot_backup.retention.keep_last = 1\n";
    const Broker broker(std::move(options));
    for (int i = 0; i < 2; ++i) {
        start_backup(broker, broker.repository());
        wait_for("the verification", 60s, [&] {
            const auto listed = backups(broker.repository());
            return listed.size() == static_cast<std::size_t>(i) + 1 &&
                   listed.back()["verified"].is_object();
        });
    }
}

TEST_CASE("a backup that was missed while the node was down is made at its next start") {
    // A minute of the day that is soon over; after it, none until tomorrow.
    const auto due = (std::time(nullptr) / 60 + 2) * 60;
    std::tm time{};
    ::gmtime_r(&due, &time);
    BrokerOptions options;
    options.configuration =
        "hot_backup.time_zone = utc\nhot_backup.schedule = " + std::to_string(time.tm_min) + " " +
        std::to_string(time.tm_hour) + " * * *\n";
    Broker broker(std::move(options));

    // No backup at all: nothing was missed, for there is nothing to know it from.
    broker.stop();
    broker.start();
    REQUIRE(backups(broker.repository()).empty());

    REQUIRE(wait_until_finished(broker, start_backup(broker, broker.repository())).state == "done");
    REQUIRE(std::time(nullptr) < due);
    broker.stop();
    REQUIRE(std::time(nullptr) < due);
    REQUIRE(backups(broker.repository()).size() == 1);
    wait_for("the time at which a backup is due", 150s, [&] { return std::time(nullptr) > due; });
    broker.start();
    wait_for("the missed backup", 60s, [&] { return backups(broker.repository()).size() == 2; });
    wait_until_idle(broker);

    // Once.
    broker.stop();
    broker.start();
    wait_until_idle(broker);
    CHECK(backups(broker.repository()).size() == 2);
}
