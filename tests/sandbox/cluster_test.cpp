// Restore drills of a whole cluster that goes on meanwhile: `verify --boot` of its backup.
#include "tests/harness/wait.hpp"
#include "tests/sandbox/named_cluster.hpp"
#include "tests/sandbox/sockets.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <cstdio>
#include <set>
#include <sstream>

using namespace harness;
using namespace sandbox_test;
using namespace std::chrono_literals;
using nlohmann::json;

namespace {

constexpr std::uint64_t nodes = NamedCluster::nodes;
constexpr std::uint64_t each = cluster_messages;
const std::uint64_t streams = has_streams() ? nodes : 0;

// What of the cluster a drill could touch.
std::string look_at(Broker& broker) {
    return erlang::to_string(
        broker.eval("{lists:sort(nodes()), erl_epmd:names({127,0,0,1}), "
                    "length(rabbit_networking:connections()), "
                    "lists:sort([{element(4, amqqueue:get_name(Q)), "
                    "rabbit_amqqueue:info(Q, [messages])} || Q <- rabbit_amqqueue:list()])}."),
        100'000);
}

std::vector<std::string> look_at_all(NamedCluster& cluster) {
    std::vector<std::string> seen;
    for (std::size_t number = 0; number < nodes; ++number) {
        seen.push_back(look_at(cluster.at(number)));
    }
    return seen;
}

// What the processes of a drill were seen to do.
struct Sockets {
    std::set<std::string> listeners;
    std::set<std::string> remotes;

    bool connected_to(std::uint16_t port) const {
        std::array<char, 8> end{};
        std::snprintf(end.data(), end.size(), ":%04X", unsigned{port});
        return std::ranges::any_of(
            remotes, [&](const std::string& remote) { return remote.ends_with(end.data()); });
    }
};

Sockets watch(Process& program) {
    Sockets seen;
    wait_for("the end of the drill", 5min, [&] {
        for (const pid_t process : descendants(program.pid())) {
            for (const auto& socket : sockets_of(process)) {
                INFO(program_name(process) << " " << socket.local << " " << socket.remote);
                // One that is not bound yet has no address.
                CHECK((is_loopback(socket.local) || socket.local.starts_with("00000000:0000")));
                CHECK((socket.listens || is_loopback(socket.remote)));
                if (socket.listens) {
                    seen.listeners.insert(socket.local);
                } else {
                    seen.remotes.insert(socket.remote);
                }
            }
        }
        return !program.running();
    });
    return seen;
}

CliResult result_of(Process& program) {
    CliResult result{program.wait(), {}};
    std::istringstream lines(result.output);
    for (std::string line; std::getline(lines, line);) {
        result.lines.push_back(json::parse(line));
    }
    return result;
}

void check_whole(const CliResult& result) {
    INFO(result.output << result.error_output);
    REQUIRE(result.exit_code == 0);
    CHECK(lines_of(result, "difference").empty());
    CHECK(lines_of(result, "note").empty());
    const auto summary = result.line("summary");
    const auto& counts = summary.at("counts");
    CHECK(counts.at("queues") == 2 * nodes + streams);
    CHECK(counts.at("queues_checked") == 2 * nodes + streams);
    CHECK(counts.at("messages") == 2 * nodes * each);
    CHECK(counts.at("streams") == streams);
    CHECK(counts.at("queues_without_count") == 0);
    CHECK(counts.at("queues_out_of_reach") == 0);
    CHECK(summary.at("missing").empty());
    REQUIRE(summary.at("nodes").size() == nodes);
    for (std::size_t number = 0; number < nodes; ++number) {
        const auto& node = summary.at("nodes").at(number);
        CHECK(node.at("node") == "rabbit@node-" + std::string(1, static_cast<char>('a' + number)));
        CHECK(node.at("queues") == 2);
        CHECK(node.at("messages") == 2 * each);
        CHECK(node.at("replicas") == streams);
        CHECK(node.at("bytes") > 0);
    }
}

std::string error_of(const CliResult& result, int exit_code) {
    INFO(result.output << result.error_output);
    CHECK(result.exit_code == exit_code);
    const auto error = result.line("error");
    REQUIRE(!error.is_null());
    return error.at("message").get<std::string>() + " | " + error.at("hint").get<std::string>();
}

std::string directory_of(const std::filesystem::path& repository, const std::string& part,
                         const std::string& queue) {
    constexpr std::string_view file = ".queue_name";
    for (const auto& path : paths_of(repository, part, "data/msg_stores/", std::string(file))) {
        if (content_of(repository, part, path).find("QUEUE: " + queue + "\n") !=
            std::string::npos) {
            return path.substr(0, path.size() - file.size());
        }
    }
    throw hot_backup::Error(hot_backup::ErrorCode::failed, "no directory of the queue " + queue);
}

}  // namespace

TEST_CASE("a backup of a cluster boots as one and differs in nothing, while the cluster runs") {
    auto& filled = filled_cluster();
    const TempDir scratch;
    const auto before = look_at_all(filled.cluster);
    auto arguments = drill_arguments(filled.own(0), filled.in_own, scratch.path());
    for (const std::size_t other : {1U, 2U}) {
        arguments.insert(arguments.end(), {"--with", filled.own(other)});
    }
    Process program(cli_path(), arguments);
    const auto seen = watch(program);
    const CliResult result = result_of(program);
    check_whole(result);
    CHECK(look_at_all(filled.cluster) == before);
    CHECK(names_in(scratch.path()).empty());
    CHECK(processes_of(scratch.path()).empty());
    const auto listed = run_cli({"list", "--repository", filled.own(0), "--json"}).line("summary");
    CHECK(listed.at("booted").at("outcome") == "same");
    CHECK(listed.at("booted").at("findings") == 0);

    // The sandbox listens on 127.0.0.1 and connects to itself only.
    CHECK(seen.listeners.size() >= 2 * nodes);
    for (std::size_t number = 0; number < nodes; ++number) {
        const auto& node = filled.cluster.at(number);
        const auto epmd = node.client_environment().at("ERL_EPMD_PORT").value();
        for (const auto port : {node.amqp_port(), static_cast<std::uint16_t>(std::stoi(epmd))}) {
            CHECK_FALSE(seen.connected_to(port));
        }
    }
}

TEST_CASE("a part that cannot be found is one error, which names its node and --with") {
    auto& filled = filled_cluster();
    const TempDir scratch;
    CHECK_THAT(error_of(drill(filled.own(0), filled.in_own, scratch.path()), 10),
               Catch::Contains("rabbit@node-b") && Catch::Contains("--with") &&
                   Catch::Contains(filled.own(1).string()));

    const TempDir copy;
    std::filesystem::copy(filled.own(1), copy / "own", std::filesystem::copy_options::recursive);
    std::filesystem::remove(copy / "own/manifests" /
                            (part_of(filled.own(0), filled.in_own, "rabbit@node-b") + ".manifest"));
    CHECK_THAT(error_of(drill(filled.own(0), filled.in_own, scratch.path(),
                              {"--with", copy / "own", "--with", filled.own(2)}),
                        3),
               Catch::Contains("rabbit@node-b") && Catch::Contains("missing"));
    CHECK(names_in(scratch.path()).empty());
}

TEST_CASE("damaged bytes of a part are not booted, and its node is named") {
    auto& filled = filled_cluster();
    const TempDir copy;
    std::filesystem::copy(filled.own(1), copy / "own", std::filesystem::copy_options::recursive);
    for (const auto& pack : std::filesystem::directory_iterator(copy / "own/packs")) {
        auto content = read_file(pack.path());
        content[content.size() / 2] = static_cast<char>(content[content.size() / 2] ^ 1);
        write_file(pack.path(), content);
    }
    const TempDir scratch;
    CHECK_THAT(error_of(drill(filled.own(0), filled.in_own, scratch.path(),
                              {"--with", copy / "own", "--with", filled.own(2)}),
                        3),
               Catch::Contains("the part of rabbit@node-b"));
    CHECK(names_in(scratch.path()).empty());
}

TEST_CASE("a queue that is lost in one part is found, with its node") {
    auto& filled = filled_cluster();
    const std::string node = "rabbit@node-b";
    const auto part = part_of(filled.shared(), filled.backup, node);
    Contents lost;
    for (const auto& path :
         paths_of(filled.shared(), part, directory_of(filled.shared(), part, "classic1"), "")) {
        lost[path] = std::nullopt;
    }
    const auto rewritten = rewrite_part(filled.shared(), filled.backup, node, lost);
    const TempDir scratch;
    const auto result = drill(filled.shared(), rewritten, scratch.path());
    INFO(result.output);
    CHECK(result.exit_code == 3);
    const auto found = lines_of(result, "difference");
    REQUIRE(found.size() == 1);
    CHECK(found[0].at("name") == "classic1");
    CHECK(found[0].at("node") == node);
    CHECK(found[0].at("aspect") == "messages");
    CHECK(found[0].at("expected") == each);
    CHECK(found[0].at("found") == 0);
    CHECK(names_in(scratch.path()).empty());
}

TEST_CASE("a node of a cluster that was backed up alone boots alone") {
    auto& filled = filled_cluster();
    const TempDir files;
    const auto backup = filled.cluster.back_up(files / "repository", "this_node => true");
    const auto result = drill(files / "repository", backup, files.path());
    INFO(result.output << result.error_output);
    CHECK(result.exit_code == 0);
    const auto summary = result.line("summary");
    CHECK(summary.at("counts").at("messages") == each);
    CHECK(summary.at("counts").at("queues_out_of_reach") == 2 * nodes + streams - 1);
    CHECK_FALSE(summary.contains("nodes"));
}

TEST_CASE("a backup without a node that was down boots the others, and says what needs it") {
    auto& filled = filled_cluster();
    filled.cluster.at(2).kill9();
    filled.cluster.wait_until_running(nodes - 1);
    const TempDir files;
    const auto backup =
        filled.cluster.back_up(files / "repository", "allow_missing => [<<\"rabbit@node-c\">>]");
    const auto result = drill(files / "repository", backup, files.path());
    INFO(result.output << result.error_output);
    REQUIRE(result.exit_code == 0);
    CHECK(lines_of(result, "difference").empty());
    const auto notes = lines_of(result, "note");
    REQUIRE(notes.size() == 1);
    CHECK(notes[0].at("name") == "classic2");
    CHECK(notes[0].at("aspect") == "state");
    CHECK_THAT(notes[0].at("reason").get<std::string>(), Catch::Contains("rabbit@node-c"));
    const auto summary = result.line("summary");
    CHECK(summary.at("missing") == json{"rabbit@node-c"});
    CHECK(summary.at("not_proven") == 0);
    CHECK(summary.at("counts").at("queues_out_of_reach") == 1);
    CHECK(summary.at("counts").at("messages") == (2 * nodes - 1) * each);
    CHECK(summary.at("counts").at("streams") == streams);
    CHECK(summary.at("nodes").size() == nodes - 1);

    // A restore brings the others, and says which it cannot.
    const auto& target = shared_broker();
    const auto restored = run_cli({"restore", backup, "--into", target.node(), "--cookie-file",
                                   target.cookie_file(), "--repository", files / "repository",
                                   "--scratch", files.path(), "--queue", "//classic*", "--json"},
                                  {target.client_environment()}, 5min);
    CHECK_THAT(error_of(restored, 1), Catch::Contains("classic2") &&
                                          Catch::Contains("rabbit@node-c") &&
                                          Catch::Contains("All other queues are complete"));
    CHECK(lines_of(restored, "queue").size() == nodes - 1);
}
