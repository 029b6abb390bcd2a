#include "tests/schedule/runs.hpp"

#include "tests/harness/cli.hpp"
#include "tests/harness/wait.hpp"

#include <catch2/catch.hpp>

namespace schedule_tests {

using namespace harness;
using namespace std::chrono_literals;

void set(const Broker& broker, const std::string& setting, const std::string& value) {
    broker.eval("application:set_env(rabbitmq_hot_backup, " + setting + ", " + value + ").");
}

void write_hook(const std::filesystem::path& path, const std::string& script) {
    write_file(path, "#!/bin/sh\n" + script + "\n");
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
}

void damage_what_is_verified(const Broker& broker, const std::filesystem::path& path) {
    const auto packs = broker.repository() / "packs";
    write_hook(path, "if [ \"$1\" = verify ]; then for f in " + packs.string() +
                         "/*; do printf X | dd of=$f bs=1 seek=100 conv=notrunc 2> /dev/null; "
                         "done; fi\nexec " +
                         cli_path().string() + " \"$@\"");
    set(broker, "executable", "\"" + path.string() + "\"");
}

bool is_idle(const Broker& broker) {
    return broker.eval("#{backup := #{running := R}} = rabbit_hot_backup_schedule:status(), R.")
        .is_atom("false");
}

std::string last_failure(const Broker& broker) {
    return erlang::to_string(broker.eval("rabbit_hot_backup_monitor:last_failure()."), 4000);
}

std::string run_now(const Broker& broker) {
    REQUIRE(broker.eval("rabbit_hot_backup_schedule:run_now().").is_atom("ok"));
    wait_for("the run", 60s, [&] { return is_idle(broker); });
    const auto outcome = erlang::to_string(broker.eval("#{backup := #{last := #{outcome := O}}} = "
                                                       "rabbit_hot_backup_schedule:status(), O."),
                                           100);
    UNSCOPED_INFO(outcome << ", " << last_failure(broker));
    return outcome;
}

void expect_last_failure(const Broker& broker, const std::string& text) {
    std::string last;
    const auto is_told = [&] {
        last = last_failure(broker);
        return last.find(text) != std::string::npos;
    };
    try {
        wait_for("the last failure to be " + text, 20s, is_told);
    } catch (const std::exception& error) {
        FAIL(error.what() << ", it is " << last);
    }
}

std::vector<nlohmann::json> backups(const std::filesystem::path& repository) {
    if (!std::filesystem::exists(repository / "manifests")) {
        return {};
    }
    auto lines = run_cli({"list", "-r", repository, "--json"}).lines;
    std::erase_if(lines, [](const auto& line) { return line["message_type"] != "summary"; });
    return lines;
}

}  // namespace schedule_tests
