// The whole story, as an operator lives it: create, list, show, verify, definitions, import.
#include "sidecar/repository/file_reader.hpp"
#include "sidecar/repository/repository.hpp"
#include "tests/harness/amqp_client.hpp"
#include "tests/harness/temp_dir.hpp"
#include "tests/harness/wait.hpp"
#include "tests/integration/broker_definitions.hpp"
#include "tests/integration/support.hpp"
#include "tests/tools/topology.hpp"
#include "tests/tools/traffic.hpp"

#include <catch2/catch.hpp>

#include <algorithm>

using namespace harness;
using namespace integration;
using namespace std::chrono_literals;
using nlohmann::json;

namespace {

constexpr std::size_t queues = 300;
constexpr std::size_t bindings = 1500;

json summary_of(const std::vector<std::string>& arguments) {
    const CliResult result = run_cli(arguments);
    INFO(result.output << result.error_output);
    REQUIRE(result.exit_code == 0);
    return result.line("summary");
}

json definitions_of(const std::filesystem::path& repository) {
    const CliResult printed = run_cli({"definitions", "--repository", repository});
    REQUIRE(printed.exit_code == 0);
    return json::parse(printed.output);
}

std::string content_of(const hot_backup::Repository& repository, const std::string& id,
                       const std::string& path) {
    hot_backup::FileReader reader(repository, repository.find_file(id, path));
    std::string content;
    while (const auto piece = reader.next()) {
        content += *piece;
    }
    return content;
}

}  // namespace

TEST_CASE("a broker with a realistic topology is backed up, and its definitions come back") {
    Broker& broker = shared_broker();
    const tools::Topology topology =
        tools::make_topology(broker, {.queues = queues, .bindings = bindings});
    const TempDir files;
    const auto repository = files / "repository";

    const CliResult created = create_backup(broker, repository);
    INFO(created.output << created.error_output);
    REQUIRE(created.exit_code == 0);
    const json summary = created.line("summary");
    CHECK(summary.at("warnings") == json::array());
    CHECK(summary.at("node") == broker.node());

    const json exported = exported_definitions(broker);
    const json counts = summary.at("counts");
    CHECK(counts.at("vhosts") == exported.at("vhosts").size());
    CHECK(counts.at("users") == exported.at("users").size());
    CHECK(counts.at("policies") == exported.at("policies").size());
    // The snapshot holds durable exclusive queues too, and a binding to the default exchange is no
    // record.
    CHECK(counts.at("queues") >= exported.at("queues").size());

    const std::string id = summary.at("backup");
    CHECK(listed(repository) == std::vector{id});
    const json shown = summary_of({"show", "latest", "--repository", repository, "--json"});
    CHECK(shown.at("backup") == id);
    CHECK(shown.at("counts") == counts);
    CHECK(shown.at("metadata").at("store") == metadata_store(broker));
    const json verified = summary_of({"verify", id, "--repository", repository, "--json"});
    CHECK(verified.at("whole") == true);
    CHECK(verified.at("bytes") == summary.at("bytes"));

    const json ours = definitions_of(repository);
    check_same_definitions(ours, exported);
    CHECK(ours.at("vhosts").size() == topology.vhosts.size());

    // RabbitMQ 4 refuses the whole document when it names an exchange that is not there.
    const Broker fresh({.hot_backup = false});
    write_file(files / "definitions.json", without_bindings_of(ours, "inner").dump());
    fresh.rabbitmqctl({"import_definitions", files / "definitions.json"});
    check_same_definitions(as_imported(exported_definitions(fresh)),
                           as_imported(without_bindings_of(exported, "inner")));
}

TEST_CASE("backups under traffic and declarations verify, and the traffic goes on") {
    Broker& broker = shared_broker();
    const TempDir files;
    const auto repository = files / "repository";
    tools::Traffic traffic(broker.amqp_port());
    std::atomic<unsigned> declared = 0;
    std::jthread declaring([&](std::stop_token stop) {
        AmqpClient client(broker.amqp_port());
        while (!stop.stop_requested()) {
            const std::string name = "declared." + std::to_string(declared);
            client.declare_queue(name);
            client.bind_queue(name, "amq.topic", "a.#." + name);
            if (declared++ % 2 == 0) {
                client.delete_queue(name);
            }
        }
    });
    constexpr std::size_t rounds = 5;
    for (std::size_t n = 0; n < rounds; ++n) {
        const std::uint64_t confirmed = traffic.confirmed();
        const unsigned before = declared;
        REQUIRE(create_backup(broker, repository).exit_code == 0);
        wait_for("traffic and declarations", 30s,
                 [&] { return traffic.confirmed() > confirmed && declared > before + 1; });
    }
    declaring.request_stop();
    declaring.join();
    traffic.stop();
    CHECK(traffic.failure().empty());
    CHECK(check_listed_is_whole(repository) == rounds);
    CHECK_FALSE(has_checkpoint(broker));

    REQUIRE(create_backup(broker, repository).exit_code == 0);
    check_same_definitions(definitions_of(repository), exported_definitions(broker));
}

TEST_CASE("a backup holds the node's configuration byte by byte") {
    const TempDir files;
    std::filesystem::create_directory(files / "conf.d");
    write_file(files / "conf.d" / "10-limits.conf",
               "# größe\r\nvm_memory_high_watermark.relative = 0.5\n\n");
    write_file(files / "conf.d" / "20-heartbeat.conf", "heartbeat = 45");
    const Broker broker(
        {.configuration = "# a comment\n",
         .environment = {{"RABBITMQ_CONFIG_FILES", (files / "conf.d/*.conf").string()}}});
    const auto directory = files / "repository";
    REQUIRE(create_backup(broker, directory).exit_code == 0);

    const auto repository =
        hot_backup::Repository::open(hot_backup::posix_file_system(), directory);
    const std::string id = repository.resolve("latest");
    const auto check = [&](const std::string& role, const std::filesystem::path& original) {
        INFO(role);
        CHECK(content_of(repository, id, "configuration/" + role) == read_file(original));
        CHECK(repository.find_file(id, "configuration/" + role).origin->path == original);
    };
    check("rabbitmq.conf", broker.directory() / "rabbitmq.conf");
    check("advanced.config", broker.directory() / "advanced.config");
    check("enabled_plugins", broker.directory() / "enabled_plugins");
    check("conf.d/10-limits.conf", files / "conf.d/10-limits.conf");
    check("conf.d/20-heartbeat.conf", files / "conf.d/20-heartbeat.conf");
}
