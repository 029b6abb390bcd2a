// The commands of rabbitmqctl, as an operator runs them.
#include "tests/harness/temp_dir.hpp"
#include "tests/management/support.hpp"

#include <catch2/catch.hpp>

namespace {

using namespace management_tests;

harness::Broker& broker() {
    static harness::Broker instance;
    return instance;
}

// RabbitMQ before 3.10.12 finds commands of a plugin in a directory of its own only with ERL_LIBS.
harness::Result ctl(const std::vector<std::string>& arguments) {
    return broker().tool("rabbitmqctl", arguments, {{"ERL_LIBS", HOT_BACKUP_PLUGINS_DIR}},
                         std::chrono::minutes(3));
}

Json ctl_json(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--formatter", "json"});
    const auto result = ctl(arguments);
    INFO(result.output << result.error_output);
    REQUIRE(result.exit_code == 0);
    return Json::parse(result.output);
}

TEST_CASE("a backup is made, listed and verified with rabbitmqctl") {
    const auto none = ctl({"verify_hot_backup"});
    INFO(none.output << none.error_output);
    CHECK(none.exit_code == 66);
    CHECK(ctl_json({"list_hot_backups"}).empty());

    const auto made = ctl({"hot_backup"});
    INFO(made.output << made.error_output);
    REQUIRE(made.exit_code == 0);
    CHECK(made.output.find("Backing up " + broker().node()) != std::string::npos);
    CHECK(made.output.find(" is done, in " + broker().repository().string()) != std::string::npos);

    const auto list = ctl_json({"list_hot_backups"});
    REQUIRE(list.size() == 1);
    const std::string id = list[0]["backup"];
    const auto table = ctl({"list_hot_backups"});
    INFO(table.output << table.error_output);
    CHECK(table.output.find(id) != std::string::npos);
    CHECK(table.output.find("instant") != std::string::npos);

    const auto verified = ctl({"verify_hot_backup", id});
    INFO(verified.output << verified.error_output);
    CHECK(verified.exit_code == 0);
    CHECK(verified.output.find("Backup " + id + " is intact") != std::string::npos);
    const auto booted = ctl_json({"verify_hot_backup", "--boot"});
    CHECK(booted["state"] == "done");
    CHECK(booted["kind"] == "drill");
    CHECK(booted["user"] == "rmq-cli");

    const auto status = ctl({"hot_backup_status"});
    INFO(status.output << status.error_output);
    CHECK(status.exit_code == 0);
    CHECK(status.output.find("Program: up") != std::string::npos);
    CHECK(status.output.find("Running: nothing") != std::string::npos);
    CHECK(ctl_json({"hot_backup_status"})["node"] == broker().node());
}

TEST_CASE("what fails has an exit code") {
    CHECK(ctl({"hot_backup", "too", "many"}).exit_code == 64);
    CHECK(ctl({"hot_backup", "--repository", "relative"}).exit_code == 65);
    CHECK(ctl({"verify_hot_backup", "--help-me"}).exit_code == 64);
    const auto no_such = ctl({"verify_hot_backup", "20200101T000000.000Z"});
    INFO(no_such.output << no_such.error_output);
    CHECK(no_such.exit_code == 66);

    // Something runs.
    broker().eval("application:set_env(rabbitmq_hot_backup, rate_limit, 1000).");
    const auto begun = ctl({"hot_backup", "--no-wait"});
    INFO(begun.output << begun.error_output);
    CHECK(begun.exit_code == 0);
    CHECK(begun.output.find("was started") != std::string::npos);
    const auto busy = ctl({"hot_backup"});
    CHECK(busy.exit_code == 75);
    CHECK(busy.error_output.find("another backup is running") != std::string::npos);
    CHECK(ctl({"hot_backup_status"}).output.find(", backup") != std::string::npos);
    broker().eval(
        "application:set_env(rabbitmq_hot_backup, rate_limit, 0), "
        "rabbit_hot_backup:cancel().");

    broker().eval("application:stop(rabbitmq_hot_backup).");
    const auto disabled = ctl({"hot_backup_status"});
    INFO(disabled.output << disabled.error_output);
    CHECK(disabled.exit_code == 69);
    CHECK(disabled.error_output.find("rabbitmq-plugins enable rabbitmq_hot_backup") !=
          std::string::npos);
    broker().eval("application:start(rabbitmq_hot_backup).");
}

}  // namespace
