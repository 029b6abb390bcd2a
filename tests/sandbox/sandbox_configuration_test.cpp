#include "sidecar/sandbox/sandbox_configuration.hpp"

#include "tests/harness/temp_dir.hpp"

#include <catch2/catch.hpp>

#include <cstdlib>

using namespace hot_backup;
using harness::read_file;
using harness::TempDir;
using harness::write_file;

namespace {

SandboxPlan plan_in(const Path& directory) {
    SandboxPlan plan;
    plan.rabbitmq.home = "/opt/rabbitmq";
    plan.plugins = "/opt/ours";
    plan.preloaded = "/opt/sandbox.so";
    plan.instant = Timestamp{std::chrono::microseconds(1'700'000'000'123'456)};
    plan.directory = directory;
    plan.restored.node = "rabbit@broker-1.example.com";
    plan.restored.data_directory = directory / "node";
    plan.hosts = {{"broker-1.example.com", "127.0.0.2", 21'001}};
    plan.ports = {21'002, 21'003};
    plan.cookie = "COOKIE";
    return plan;
}

}  // namespace

TEST_CASE("only what recovery needs is taken over from a node's configuration") {
    CHECK(taken_over("").empty());
    CHECK(taken_over("listeners.tcp.default = 5672\n"
                     "  classic_queue.default_version = 2\n"
                     "# classic_queue.default_version = 1\n"
                     "cluster_formation.peer_discovery_backend = dns\n"
                     "deprecated_features.permit.transient_nonexcl_queues = true") ==
          "classic_queue.default_version = 2\n"
          "deprecated_features.permit.transient_nonexcl_queues = true\n");
}

TEST_CASE("the files of a sandbox are private and say where it listens") {
    const TempDir directory;
    const TempDir configuration;
    auto plan = plan_in(directory.path());
    std::filesystem::create_directory(configuration / "conf.d");
    write_file(configuration / "conf.d/10-queues.conf", "classic_queue.default_version = 1\n");
    write_file(configuration / "advanced.config",
               "[{rabbit, [{tcp_listeners, [5672]}, { classic_queue_default_version , 2 }]}].\n");
    plan.restored.configuration = configuration.path();
    write_configuration(plan);
    const auto conf = read_file(directory / "rabbitmq.conf");
    CHECK(conf.starts_with("listeners.tcp.1 = 127.0.0.1:21003\n"));
    CHECK(conf.find("classic_queue.default_version = 1\n") != std::string::npos);
    CHECK(read_file(directory / "advanced.config") ==
          "[{rabbit,[{consumer_timeout,undefined},{classic_queue_default_version,2}]},"
          "{rabbitmq_hot_backup,[{port,false}]}].\n");
    CHECK(read_file(directory / "home/.erlang.cookie") == "COOKIE");
    const auto mode = std::filesystem::status(directory / "home/.erlang.cookie").permissions();
    CHECK((mode & std::filesystem::perms::mask) == static_cast<std::filesystem::perms>(0600));
}

TEST_CASE("nothing of our environment reaches a sandbox but where programs are found") {
    ::setenv("RABBITMQ_NODENAME", "rabbit@elsewhere", 1);
    ::setenv("RABBITMQ_CTL_ERL_ARGS", "-setcookie theirs", 1);
    ::setenv("NOTIFY_SOCKET", "/run/systemd/notify", 1);
    const TempDir directory;
    const auto environment = sandbox_environment(plan_in(directory.path()));
    CHECK(environment.at("RABBITMQ_NODENAME") == "rabbit@broker-1.example.com");
    CHECK(environment.at("RABBITMQ_USE_LONGNAME") == "true");
    CHECK(environment.at("RABBITMQ_BOOT_MODULE") == "rabbit_hot_backup_sandbox");
    CHECK(environment.at("ERL_LIBS") == "/opt/ours");
    CHECK(environment.at("RABBITMQ_MNESIA_DIR") == (directory / "node").string());
    CHECK(environment.at("RABBITMQ_PLUGINS_DIR") == "/opt/ours:/opt/rabbitmq/plugins");
    CHECK(environment.at("ERL_EPMD_PORT") == "21001");
    CHECK(environment.at("HOT_BACKUP_HOSTS") == "127.0.0.2=21001");
    CHECK(environment.contains("HOT_BACKUP_ALONE"));
    CHECK(environment.at("ERL_FLAGS").find("dist_auto_connect never") != std::string::npos);
    CHECK(environment.at("HOT_BACKUP_CLOCK") == "1699395200123456");  // a week before
    CHECK(environment.at("PATH") == std::getenv("PATH"));
    CHECK_FALSE(environment.contains("RABBITMQ_CTL_ERL_ARGS"));
    CHECK_FALSE(environment.contains("NOTIFY_SOCKET"));
    CHECK_FALSE(environment.contains("RABBITMQ_FEATURE_FLAGS_FILE"));
}

TEST_CASE("nodes of a sandbox look for each other, by their hosts' own epmds") {
    const TempDir directory;
    auto plan = plan_in(directory.path());
    plan.alone = false;
    plan.hosts.push_back({"broker-2.example.com", "127.0.0.3", 21'009});
    plan.restored.node = "rabbit@broker-2.example.com";
    const auto environment = sandbox_environment(plan);
    CHECK(environment.at("ERL_EPMD_PORT") == "21009");
    CHECK(environment.at("HOT_BACKUP_HOSTS") == "127.0.0.2=21001,127.0.0.3=21009");
    CHECK(environment.at("ERL_FLAGS").find("dist_auto_connect") == std::string::npos);
    CHECK_FALSE(environment.contains("HOT_BACKUP_ALONE"));
}

TEST_CASE("a node that is told not to wait for others finds the file for it") {
    const TempDir directory;
    auto plan = plan_in(directory.path());
    std::filesystem::create_directory(plan.restored.data_directory);
    write_configuration(plan);
    CHECK_FALSE(std::filesystem::exists(directory / "node/force_load"));
    const TempDir other;
    plan.directory = other.path();
    plan.force_boot = true;
    write_configuration(plan);
    CHECK(std::filesystem::exists(directory / "node/force_load"));
}

TEST_CASE("a sandbox knows its own nodes' hosts and no other") {
    const auto hosts = hosts_of({"rabbit@broker-1.example.com", "rabbit@broker-2.example.com",
                                 "other@broker-1.example.com"});
    REQUIRE(hosts.size() == 2);
    CHECK(&host_for(hosts, "other@broker-1.example.com") == &hosts[0]);
    const auto file = inetrc(hosts);
    CHECK(file.find("{lookup, [file]}.") != std::string::npos);
    CHECK(file.find(R"({hosts_file, ""}.)") != std::string::npos);
    CHECK(file.find(R"({host, {127,0,0,1}, ["localhost")") != std::string::npos);
    CHECK(file.find(R"({host, {127,0,0,2}, ["broker-1.example.com", "broker-1"]}.)") !=
          std::string::npos);
    CHECK(file.find(R"({host, {127,0,0,3}, ["broker-2.example.com", "broker-2"]}.)") !=
          std::string::npos);
    CHECK(inetrc(hosts_of({"rabbit@odd\"name"})).find(R"("odd\"name")") != std::string::npos);
}

TEST_CASE("a host that is an address is reached at it, and localhost is what it is") {
    auto hosts = hosts_of({"rabbit@192.168.0.5", "rabbit@localhost"});
    CHECK(inetrc(hosts).find("192") == std::string::npos);
    hosts[0].epmd = 1;
    hosts[1].epmd = 2;
    CHECK(host_variable(hosts) == "192.168.0.5=1,127.0.0.1=2");
}
