// Restore drills of a node that goes on meanwhile: `verify --boot`.
#include "tests/harness/amqp_client.hpp"
#include "tests/harness/wait.hpp"
#include "tests/integration/support.hpp"
#include "tests/sandbox/sockets.hpp"
#include "tests/sandbox/support.hpp"
#include "tests/tools/image.hpp"

#include <catch2/catch.hpp>

#include <unistd.h>

#include <algorithm>

using namespace harness;
using namespace sandbox_test;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

// What of a node a drill could touch.
struct Untouched {
    std::string epmd;
    std::string nodes;
    std::string connections;
    std::string queues;
    std::vector<std::string> open_files;
};

Untouched look_at(const Broker& broker) {
    const auto text = [&](const std::string& expression) {
        return erlang::to_string(broker.eval(expression), 100'000);
    };
    return {
        text("erl_epmd:names({127,0,0,1})."), text("nodes()."),
        text("length(rabbit_networking:connections())."),
        text("lists:sort([{element(4, element(2, Q)), hd(rabbit_amqqueue:info(Q, [messages]))} || "
             "Q <- rabbit_amqqueue:list(<<\"/\">>)])."),
        tools::open_below(broker.pid(), broker.data_directory())};
}

}  // namespace

TEST_CASE("a backup of every kind of queue boots and differs in nothing, while its node runs") {
    auto& node = backed_up_node();
    // Time goes on; in the sandbox it is the instant of the backup.
    wait_for("the end of messages that were in the backup", 2min, [&] {
        return look_at(node.broker).queues.find("<<\"expiring\">>,{messages,0}") !=
               std::string::npos;
    });
    const TempDir scratch;
    const auto before = look_at(node.broker);
    const auto result = drill(node.repository(), node.backup, scratch.path());
    INFO(result.output << result.error_output);
    REQUIRE(result.exit_code == 0);
    CHECK(lines_of(result, "difference").empty());
    CHECK(lines_of(result, "note").empty());
    const auto after = look_at(node.broker);
    CHECK(after.epmd == before.epmd);
    CHECK(after.nodes == before.nodes);
    CHECK(after.connections == before.connections);
    CHECK(after.queues == before.queues);
    CHECK(after.open_files == before.open_files);
    CHECK(names_in(scratch.path()).empty());

    const auto summary = result.line("summary");
    CHECK(summary.at("differences") == 0);
    const auto& counts = summary.at("counts");
    CHECK(counts.at("vhosts") == 2);
    CHECK(counts.at("users") == 2);
    const unsigned streams = has_streams() ? 2 : 0;
    CHECK(counts.at("queues") == 11 + streams);
    CHECK(counts.at("queues_checked") == 11 + streams);
    CHECK(counts.at("streams") == streams);
    CHECK(counts.at("queues_without_count") == 0);
    std::uint64_t messages = 2 * 10;  // of the other vhost
    for (const auto& [queue, count] : node.load.messages) {
        messages += count;
    }
    CHECK(counts.at("messages") == messages);
    for (const char* key : {"restore_seconds", "boot_seconds", "check_seconds"}) {
        CHECK(summary.at(key) > 0);
    }

    CHECK(summary.at("recorded") == true);
    const auto listed =
        run_cli({"list", "--repository", node.repository(), "--json"}).line("summary");
    CHECK(listed.at("booted").at("outcome") == "same");
    CHECK(listed.at("booted").at("bytes") == summary.at("bytes"));
    CHECK(listed.at("booted").at("rabbitmq_version") == summary.at("rabbitmq_version"));
}

TEST_CASE("a sandbox has the write-ahead log that its node keeps elsewhere") {
    const TempDir files;
    const Broker broker({.application_settings = {
                             {"ra", {"{wal_data_dir,\"" + (files / "wal").string() + "\"}"}}}});
    AmqpClient client(broker.amqp_port());
    client.declare_queue("quorum", {.arguments = {{"x-queue-type", {std::string("quorum")}}}});
    for (int n = 0; n < 50; ++n) {
        client.publish("", "quorum", "in the log only");
    }
    const auto created = create_backup(broker, files / "repository");
    REQUIRE(created.exit_code == 0);
    const auto result =
        drill(files / "repository", created.line("summary").at("backup"), files.path());
    INFO(result.output << result.error_output);
    CHECK(result.exit_code == 0);
    CHECK(result.line("summary").at("counts").at("messages") == 50);
}

TEST_CASE("a sandbox listens on the loopback interface only and connects to nobody") {
    auto& node = backed_up_node();
    const TempDir scratch;
    Process program(cli_path(), drill_arguments(node.repository(), node.backup, scratch.path()));
    std::size_t most_listeners = 0;
    wait_for("the end of the drill", 5min, [&] {
        for (const pid_t process : descendants(program.pid())) {
            const auto sockets = sockets_of(process);
            for (const auto& socket : sockets) {
                INFO(program_name(process) << " " << socket.local << " " << socket.remote);
                // One that is not bound yet has no address.
                CHECK((is_loopback(socket.local) || socket.local.starts_with("00000000:0000")));
                CHECK((socket.listens || is_loopback(socket.remote)));
            }
            most_listeners = std::max<std::size_t>(
                most_listeners,
                static_cast<std::size_t>(std::ranges::count_if(sockets, &TcpSocket::listens)));
        }
        return !program.running();
    });
    CHECK(program.wait().exit_code == 0);
    CHECK(most_listeners == 2);  // AMQP and other nodes
}

TEST_CASE("a node whose host is not known here, and whose queues have another format, boots") {
    // Nor is it anywhere: Erlang is told in a file.
    const TempDir files;
    write_file(files / "inetrc",
               "{lookup, [file]}.\n{host, {127,0,0,1}, [\"localhost\", \"no-such-host\"]}.\n");
    const bool has_version_2 = tested_version() >= hot_backup::RabbitmqVersion{3, 10, 0};
    Broker broker({.configuration = has_version_2 ? "classic_queue.default_version = 2\n" : "",
                   .environment = {{"ERL_INETRC", (files / "inetrc").string()}},
                   .node = "rabbit" + std::to_string(getpid()) + "@no-such-host"});
    AmqpClient client(broker.amqp_port());
    client.declare_queue("orders");
    client.publish("", "orders", "one");
    const auto job = integration::start_backup(broker, broker.repository());
    REQUIRE(integration::wait_until_finished(broker, job).state == "done");
    const TempDir scratch;
    const auto result = drill(broker.repository(), "latest", scratch.path());
    INFO(result.output);
    CHECK(result.exit_code == 0);
    CHECK(result.line("summary").at("counts").at("messages") == 1);
}

TEST_CASE("a node whose name has an address in the place of its host boots") {
    // One where no epmd answers. The node itself comes up because it gets what a sandbox gets.
    const auto library = cli_path().parent_path() / "librabbitmq_hot_backup_sandbox.so";
    const Broker broker(
        {.environment = {{"RABBITMQ_USE_LONGNAME", "true"}, {"LD_PRELOAD", library.string()}},
         .node = "rabbit" + std::to_string(getpid()) + "@127.0.0.2"});
    AmqpClient client(broker.amqp_port());
    client.declare_queue("orders");
    client.publish("", "orders", "one");
    const auto job = integration::start_backup(broker, broker.repository());
    REQUIRE(integration::wait_until_finished(broker, job).state == "done");
    const TempDir scratch;
    const auto result = drill(broker.repository(), "latest", scratch.path());
    INFO(result.output);
    CHECK(result.exit_code == 0);
    CHECK(result.line("summary").at("counts").at("messages") == 1);
}

TEST_CASE("a node whose name has an IPv6 address is refused before anything is restored") {
    auto& node = backed_up_node();
    const auto renamed = rewrite_backup(node.repository(), node.backup, {},
                                        [](auto& summary) { summary.node = "rabbit@2001:db8::1"; });
    const TempDir scratch;
    const auto result = drill(node.repository(), renamed, scratch.path());
    CHECK(result.exit_code == 1);
    CHECK(result.line("error").at("message").get<std::string>().find("IPv6") != std::string::npos);
    CHECK(lines_of(result, "status").empty());
    CHECK(names_in(scratch.path()).empty());
}
