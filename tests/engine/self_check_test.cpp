// Releases of RabbitMQ that this program was never tried with.
#include "sidecar/engine/self_check.hpp"

#include "sidecar/engine/backup.hpp"
#include "tests/engine/plugin_double.hpp"
#include "tests/harness/temp_dir.hpp"
#include "tests/repository/memory_file_system.hpp"

#include <catch2/catch.hpp>

using namespace hot_backup;
using namespace engine_test;

namespace {

struct Attempt {
    std::string error;                  // empty: there is a backup
    std::vector<std::string> warnings;  // that name the release
    std::size_t backups = 0;
};

Attempt back_up_node(const Behaviour& behaviour) {
    repository_test::MemoryFileSystem files;
    Attempt attempt;
    Broker broker(std::make_unique<PluginDouble>(behaviour, std::make_shared<Record>()));
    try {
        for (auto& warning : back_up(broker, files, {.repository = "/repository"}, {}).warnings) {
            if (warning.find("RabbitMQ " + behaviour.rabbitmq_version) != std::string::npos) {
                attempt.warnings.push_back(std::move(warning));
            }
        }
    } catch (const Error& error) {
        attempt.error = error.what();
    }
    try {
        attempt.backups = Repository::open(files, "/repository").list().size();
    } catch (const Error& error) {
        REQUIRE(error.code() == ErrorCode::not_found);
    }
    return attempt;
}

Behaviour node_with(const std::string& version) {
    auto behaviour = well_behaved();
    behaviour.rabbitmq_version = version;
    return behaviour;
}

// A vhost with a field that no release has had so far.
std::string strange_vhost() {
    return payload_of({erlang::tuple({erlang::atom("rabbit_vhost"), erlang::binary("/"),
                                      erlang::list({}), erlang::map({}), erlang::atom("new")})});
}

}  // namespace

TEST_CASE("a release that the tests run on gives no warning") {
    for (const auto* version : {"3.8.9", "3.10.8", "4.0.5", "4.3.6", "4.3.7-rc.1"}) {
        INFO(version);
        const auto attempt = back_up_node(node_with(version));
        CHECK(attempt.error.empty());
        CHECK(attempt.warnings.empty());
        CHECK(attempt.backups == 1);
    }
}

TEST_CASE(
    "a release that nobody has tried is backed up with a warning when it is like the others") {
    for (const auto* version : {"3.12.1", "4.4.0", "5.0.0", "unknown"}) {
        INFO(version);
        const auto attempt = back_up_node(node_with(version));
        CHECK(attempt.error.empty());
        REQUIRE(attempt.warnings.size() == 1);
        CHECK_THAT(attempt.warnings[0], Catch::Contains("none of the releases"));
        CHECK(attempt.backups == 1);
    }
}

TEST_CASE("a release whose records are others is refused") {
    auto behaviour = node_with("5.0.0");
    behaviour.payloads.push_back(strange_vhost());
    const auto attempt = back_up_node(behaviour);
    CHECK_THAT(attempt.error, Catch::Contains("RabbitMQ 5.0.0") && Catch::Contains("vhost") &&
                                  Catch::Contains("with 5 elements"));
    CHECK(attempt.backups == 0);
}

TEST_CASE("a release that keeps its files elsewhere is refused before it is touched") {
    const harness::TempDir elsewhere;
    auto behaviour = node_with("5.0.0");
    behaviour.data_dir = elsewhere.path().string();
    const auto record = std::make_shared<Record>();
    repository_test::MemoryFileSystem files;
    Broker broker(std::make_unique<PluginDouble>(behaviour, record));
    CHECK_THROWS_WITH(back_up(broker, files, {.repository = "/repository"}, {}),
                      Catch::Contains("there is no " + (elsewhere.path() / "LATEST.LOG").string()));
    CHECK(record->operations ==
          std::vector<std::string>{"job_begin", "describe", "checkpoint_end", "job_end"});
}
