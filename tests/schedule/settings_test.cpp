// hot_backup.* in rabbitmq.conf: what is right is taken, and what is wrong is refused with a
// sentence when the node boots.
#include "tests/harness/broker.hpp"
#include "tests/integration/support.hpp"

#include <catch2/catch.hpp>

using namespace harness;
using namespace integration;

namespace {

std::string setting(const Broker& broker, const std::string& call) {
    return erlang::to_string(broker.eval("rabbit_hot_backup_settings:" + call + "."), 4000);
}

// What a broker says that does not boot.
std::string refusal(const std::string& configuration) {
    BrokerOptions options;
    options.configuration = configuration;
    try {
        const Broker broker(std::move(options));
    } catch (const hot_backup::Error& error) {
        return error.what();
    }
    return "it boots";
}

}  // namespace

TEST_CASE("settings of rabbitmq.conf reach the plugin, and need not wait for it") {
    BrokerOptions options;
    options.configuration = R"(
hot_backup.max_pause = 120ms
hot_backup.rate_limit = 20MB
hot_backup.schedule = 30 2 * * mon-fri
hot_backup.schedule.scope = node
hot_backup.schedule.allow_missing = true
hot_backup.time_zone = utc
hot_backup.verify_after_backup = false
hot_backup.drill.schedule = @monthly
hot_backup.retention.keep_last = 3
hot_backup.retention.keep_daily = 7
hot_backup.min_free_space = 10%
hot_backup.hook.before = /usr/local/bin/before
hot_backup.hook.after = /usr/local/bin/after
hot_backup.hook.timeout = 5m
)";
    Broker broker(std::move(options));
    CHECK(setting(broker, "max_pause()") == "120");
    CHECK(setting(broker, "rate_limit()") == "20971520");
    CHECK_THAT(setting(broker, "schedule(backup)"), Catch::Contains("30 2 * * mon-fri"));
    CHECK(setting(broker, "schedule_scope()") == "node");
    CHECK(setting(broker, "schedule_allow_missing()") == "true");
    CHECK_THAT(setting(broker, "schedule(drill)"), Catch::Contains("@monthly"));
    CHECK(setting(broker, "time_zone()") == "utc");
    CHECK(setting(broker, "verify_after_backup()") == "false");
    CHECK(setting(broker, "min_free_space()") == "{percent,10}");
    CHECK_THAT(setting(broker, "hook(before)"), Catch::Contains("/usr/local/bin/before"));
    CHECK_THAT(setting(broker, "hook('after')"), Catch::Contains("/usr/local/bin/after"));
    CHECK(setting(broker, "hook_timeout()") == "300000");
    CHECK(broker.eval("rabbit_hot_backup_settings:retention() =:= [{keep_last,3},{keep_daily,7}].")
              .is_atom("true"));

    // The lines may be there before the plugin is enabled.
    enable_only(broker, "");
    broker.stop();
    broker.start();
    CHECK(broker.call("rabbit", "is_running", {}).is_atom("true"));
}

TEST_CASE("not one setting is required") {
    const Broker& broker = shared_broker();
    CHECK(setting(broker, "schedule(backup)") == "none");
    CHECK(setting(broker, "schedule_scope()") == "cluster");
    CHECK(setting(broker, "schedule_allow_missing()") == "false");
    CHECK(setting(broker, "verify_after_backup()") == "true");
    CHECK(setting(broker, "retention()") == "[]");
}

TEST_CASE("a value of the wrong kind is refused when the node boots") {
    const std::string said = refusal(R"(
hot_backup.max_pause = 250
hot_backup.time_zone = mars
hot_backup.verify_after_backup = perhaps
hot_backup.retention.keep_last = many
)");
    CHECK_THAT(said, Catch::Contains("Error transforming datatype for: hot_backup.max_pause"));
    CHECK_THAT(said, Catch::Contains("Invalid duration value: 250"));
    CHECK_THAT(said, Catch::Contains("\"mars\" is not a valid enum value, acceptable values are: "
                                     "local, utc"));
    CHECK_THAT(said, Catch::Contains("\"perhaps\" is not a valid enum value"));
    CHECK_THAT(said, Catch::Contains("\"many\" cannot be converted to a(n) integer"));
}

TEST_CASE("a value that makes no sense is refused when the node boots") {
    const std::string said = refusal(R"(
hot_backup.repository = backups
hot_backup.max_pause = 11s
hot_backup.rate_limit = fast
hot_backup.schedule = 61 2 * * *
hot_backup.drill.schedule = @reboot
hot_backup.retention.keep_weekly = -1
hot_backup.min_free_space = 100%
hot_backup.hook.before = before.sh
hot_backup.hook.timeout = 10ms
)");
    for (const std::string sentence :
         {"hot_backup.repository invalid, must be an absolute path",
          "hot_backup.max_pause invalid, must be from 1ms to 10s",
          "hot_backup.rate_limit invalid, must be a number of bytes, as 50MB",
          "hot_backup.schedule invalid, must be five fields as in crontab",
          "hot_backup.drill.schedule invalid, must be five fields as in crontab",
          "hot_backup.retention.keep_weekly invalid, must be a number of backups to keep",
          "hot_backup.min_free_space invalid, must be a number of bytes, as 20GB, or a part",
          "hot_backup.hook.before invalid, must be an absolute path",
          "hot_backup.hook.timeout invalid, must be from 1s to 1d"}) {
        CHECK_THAT(said, Catch::Contains(sentence));
    }
}

TEST_CASE("a setting that does not exist is refused when the node boots") {
    CHECK_THAT(refusal("hot_backup.shedule = @daily\n"), Catch::Contains("hot_backup.shedule"));
}
