// The management plugin may be there or not, and may come and go while the node runs.
#include "tests/harness/wait.hpp"
#include "tests/management/support.hpp"

#include <catch2/catch.hpp>

#include <sstream>

namespace {

using namespace management_tests;
using namespace std::chrono_literals;

void enable_only(const harness::Broker& broker, const std::string& plugins) {
    // As rabbitmq-plugins does it.
    broker.eval(
        "{ok, File} = application:get_env(rabbit, enabled_plugins_file), "
        "ok = rabbit_file:write_term_file(File, [[" +
            plugins + "]]), {ok, _, _} = rabbit_plugins:ensure(File).",
        2min);
}

int status_of(const harness::Broker& broker, const std::string& path) {
    try {
        return administrator(broker).request("GET", path).status;
    } catch (const hot_backup::Error&) {
        return 0;  // nobody listens
    }
}

// The lines.
std::string errors_in(const std::string& log) {
    std::istringstream lines(log);
    std::string errors;
    for (std::string line; std::getline(lines, line);) {
        if (line.find("[error]") != std::string::npos) {
            errors += line + "\n";
        }
    }
    return errors;
}

bool has_page(const harness::Broker& broker) {
    const auto extensions = administrator(broker).request("GET", "/api/extensions").json();
    return extensions.dump().find("hot-backup.js") != std::string::npos &&
           status_of(broker, "/js/hot-backup.js") == 200;
}

TEST_CASE("the API and the page come and go with the management plugin, the rest stays") {
    // Brokers that never had the management plugin are those of most other tests.
    harness::Broker broker({.plugins = {"rabbitmq_management"}});
    CHECK(status_of(broker, api + "/status") == 200);
    CHECK(has_page(broker));

    enable_only(broker, "rabbitmq_hot_backup");
    CHECK(status_of(broker, "/api/overview") == 0);
    CHECK(broker.eval("is_map(rabbit_hot_backup_overview:status()).").is_atom("true"));

    enable_only(broker, "rabbitmq_hot_backup, rabbitmq_management");
    CHECK(status_of(broker, api + "/status") == 200);
    CHECK(has_page(broker));

    enable_only(broker, "rabbitmq_management");
    CHECK(status_of(broker, "/api/overview") == 200);
    CHECK(status_of(broker, api + "/status") == 404);
    CHECK_FALSE(has_page(broker));

    enable_only(broker, "rabbitmq_management, rabbitmq_hot_backup");
    CHECK(status_of(broker, api + "/status") == 200);
    CHECK(has_page(broker));
    CHECK(errors_in(settled_log(broker)) == "");
}

}  // namespace
