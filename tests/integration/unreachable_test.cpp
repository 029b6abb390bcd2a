// Each way in which a node cannot be reached has its own message, and all end with 12.
#include "tests/harness/port.hpp"
#include "tests/harness/temp_dir.hpp"
#include "tests/integration/support.hpp"

#include <catch2/catch.hpp>

using namespace harness;
using namespace integration;

namespace {

struct Target {
    std::string node;
    std::filesystem::path cookie_file;
    Environment environment;
};

// The message of the error with which `create` ends.
std::string refusal(const Target& target) {
    const TempDir files;
    const auto repository = files / "repository";
    const CliResult result = run_cli({"create", "--node", target.node, "--repository", repository,
                                      "--cookie-file", target.cookie_file, "--json"},
                                     {target.environment, {}, {}});
    CHECK_FALSE(std::filesystem::exists(repository));
    return check_one_error(result, 12);
}

}  // namespace

TEST_CASE("a node that cannot be reached") {
    const Broker& broker = shared_broker();
    const TempDir files;
    Target target{broker.node(), broker.cookie_file(), broker.client_environment()};

    SECTION("because of the cookie") {
        write_file(files / "cookie", "SOMETHINGELSE");
        target.cookie_file = files / "cookie";
        CHECK_THAT(refusal(target), Catch::Contains("cookie is not its own"));
    }
    SECTION("because there is no cookie") {
        target.cookie_file = files / "nowhere";
        CHECK_THAT(refusal(target), Catch::Contains("nowhere"));
    }
    SECTION("because no epmd runs") {
        const Port nobody;
        target.environment["ERL_EPMD_PORT"] = std::to_string(nobody.number());
        CHECK_THAT(refusal(target), Catch::Contains("epmd"));
    }
    SECTION("because it is not registered") {
        target.node = "nobody@localhost";
        CHECK_THAT(refusal(target), Catch::Contains("no node nobody runs on localhost"));
    }
    SECTION("because its host is unknown") {
        target.node = "rabbit@no-such-host.invalid";
        CHECK_THAT(refusal(target), Catch::Contains("no-such-host.invalid"));
    }
}

TEST_CASE("a node without the plugin") {
    const Broker plain({.hot_backup = false});
    CHECK_THAT(refusal({plain.node(), plain.cookie_file(), plain.client_environment()}),
               Catch::Contains("rabbitmq_hot_backup is not enabled"));
}
