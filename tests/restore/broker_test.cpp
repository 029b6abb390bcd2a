// Real nodes, restored by the program as an operator runs it, and booted.
#include "sidecar/repository/repository.hpp"
#include "tests/harness/amqp_client.hpp"
#include "tests/harness/wait.hpp"
#include "tests/integration/support.hpp"
#include "tests/tools/image.hpp"

#include <catch2/catch.hpp>

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <map>

using namespace harness;
using namespace integration;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

// Version 2 of classic queues is there from RabbitMQ 3.10 on.
const bool has_version_2 = tested_version() >= hot_backup::RabbitmqVersion{3, 10, 0};

using Kinds = std::vector<std::pair<std::string, AmqpTable>>;
const Kinds kinds = [] {
    Kinds all;
    for (const auto& type : queue_types()) {
        all.push_back({type, {{"x-queue-type", {type}}}});
    }
    if (has_version_2) {
        all.push_back({"classic v2", {{"x-queue-version", {std::int32_t{2}}}}});
    }
    return all;
}();

std::vector<std::string> bodies(const std::string& kind) {
    std::vector<std::string> all;
    for (std::size_t n = 0; n < 200; ++n) {
        // Some of them in the queue's own files, some in the common store.
        all.push_back(kind + " " + std::to_string(n) + std::string(n % 5 == 0 ? 150'000 : 50, 'b'));
    }
    return all;
}

void fill(const Broker& broker) {
    AmqpClient client(broker.amqp_port());
    for (const auto& [kind, arguments] : kinds) {
        client.declare_queue(kind, {.arguments = arguments});
        for (const std::string& body : bodies(kind)) {
            client.publish("", kind, body);
        }
    }
}

// What a queue gives, up to a message that is published now.
std::vector<std::string> drain(const Broker& broker, const std::string& kind) {
    AmqpClient client(broker.amqp_port());
    client.publish("", kind, "the end");
    if (kind == "stream") {
        client.consume(kind, 100, {.arguments = {{"x-stream-offset", {std::string("first")}}}});
    } else {
        client.consume(kind, 0, {.acknowledge = false});
    }
    std::vector<std::string> all;
    while (const auto delivery = client.next_delivery(20s)) {
        if (kind == "stream") {
            client.acknowledge(delivery->tag);
        }
        if (delivery->body == "the end") {
            return all;
        }
        all.push_back(delivery->body);
    }
    throw hot_backup::Error(hot_backup::ErrorCode::failed, kind + " does not give its messages");
}

void check_serves_all(const Broker& broker) {
    wait_for_streams(broker);
    for (const auto& [kind, arguments] : kinds) {
        INFO(kind);
        CHECK(drain(broker, kind) == bodies(kind));
    }
}

std::string back_up(const Broker& broker, const fs::path& repository) {
    const auto created = create_backup(broker, repository);
    INFO(created.output << created.error_output);
    REQUIRE(created.exit_code == 0);
    return created.line("summary").at("backup");
}

// A filled node, stopped, and its backup in a repository.
struct Backup {
    TempDir files;
    Broker broker;
    fs::path repository = files / "repository";
    std::string id;

    Backup() {
        fill(broker);
        id = back_up(broker, repository);
    }
};

const Backup& shared_backup() {
    static const Backup backup;
    return backup;
}

std::vector<std::string> restore_arguments(const Backup& backup, const fs::path& target,
                                           const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments{"restore",      backup.id,         "--target-dir", target,
                                       "--repository", backup.repository, "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
}

CliResult restore(const Backup& backup, const fs::path& target,
                  const std::vector<std::string>& more = {}) {
    return run_cli(restore_arguments(backup, target, more));
}

// Runs `restore` after the lines of a shell script, in namespaces of its own. $TARGET is set.
Result restore_after(const std::string& script, const Backup& backup, const fs::path& target) {
    std::vector<std::string> arguments{
        "-Urm", "sh", "-c", "set -e\n" + script + "\nexec \"$@\"", "sh", cli_path()};
    for (const auto& argument : restore_arguments(backup, target)) {
        arguments.push_back(argument);
    }
    return run("unshare", arguments, {{{"TARGET", target.parent_path().string()}}}, 2min);
}

// Every file and its content.
std::map<std::string, std::string> contents(const fs::path& directory) {
    std::map<std::string, std::string> found;
    for (const auto& entry : fs::recursive_directory_iterator(directory)) {
        found[entry.path().lexically_relative(directory)] =
            entry.is_regular_file() ? read_file(entry.path()) : "";
    }
    return found;
}

// Flips a bit in the middle of what the repository has of this file.
void damage(const Backup& backup, const std::string& file) {
    const auto repository =
        hot_backup::Repository::open(hot_backup::posix_file_system(), backup.repository);
    const auto entry = repository.find_file(backup.id, file);
    const auto& extent = entry.extents.at(entry.extents.size() / 2);
    const auto pack = repository.pack_path(extent.pack.text());
    std::string content = read_file(pack);
    content.at(extent.offset + extent.size / 2) ^= 1;
    write_file(pack, content);
}

}  // namespace

TEST_CASE("a node restored elsewhere serves its queues beside the original") {
    const Backup& backup = shared_backup();
    const TempDir scratch;
    const fs::path target = scratch.path() / backup.broker.node();
    const auto restored = restore(backup, target);
    INFO(restored.output << restored.error_output);
    REQUIRE(restored.exit_code == 0);
    const auto summary = restored.line("summary");
    CHECK(summary.at("backup") == backup.id);
    CHECK(summary.at("node") == backup.broker.node());
    CHECK(summary.at("data_dir") == target.string());
    CHECK(summary.at("original_data_dir") == backup.broker.data_directory().string());
    CHECK(summary.at("lost").empty());
    CHECK(summary.at("environment").at("RABBITMQ_MNESIA_DIR") == target.string());
    CHECK_THAT(std::string(summary.at("start")), Catch::EndsWith("rabbitmq-server"));
    CHECK(read_file(fs::path(summary.at("configuration")) / "rabbitmq.conf") ==
          read_file(backup.broker.directory() / "rabbitmq.conf"));
    // Ra's own files name the new place only.
    for (const auto& [path, content] : contents(target)) {
        if (path.ends_with("/config")) {
            INFO(path);
            CHECK(content.find(backup.broker.data_base()) == std::string::npos);
        }
    }

    const Broker booted(
        {.hot_backup = false, .data = scratch.path(), .node = backup.broker.node()});
    check_serves_all(booted);
    CHECK(tools::open_below(booted.pid(), backup.broker.data_base()).empty());
}

TEST_CASE("restored over the old place by force, the node is what it was") {
    Backup backup;
    fs::remove_all(backup.broker.data_directory() / "nothing");
    {
        AmqpClient client(backup.broker.amqp_port());
        client.delete_queue("classic");
        while (client.get("quorum")) {
        }
    }
    const auto refused = restore(backup, backup.broker.data_directory(), {"--force"});
    CHECK(refused.exit_code == 1);
    CHECK_THAT(std::string(refused.line("error").at("message")),
               Catch::Contains("process " + std::to_string(backup.broker.pid())));
    backup.broker.stop();
    CHECK(restore(backup, backup.broker.data_directory()).exit_code == 2);
    const auto restored = restore(backup, backup.broker.data_directory(), {"--force"});
    INFO(restored.output << restored.error_output);
    REQUIRE(restored.exit_code == 0);
    CHECK(restored.line("summary").at("start") == "systemctl start rabbitmq-server");
    CHECK(restored.line("summary").at("moved_aside").size() == 2);
    backup.broker.start();
    check_serves_all(backup.broker);
}

TEST_CASE("a directory that a node works in is refused, forced or not") {
    const Backup& backup = shared_backup();
    for (const std::vector<std::string>& force : {std::vector<std::string>{}, {"--force"}}) {
        const auto refused = restore(backup, backup.broker.data_directory(), force);
        CHECK(refused.exit_code == 1);
        CHECK_THAT(std::string(refused.line("error").at("message")),
                   Catch::Contains("a running node uses"));
    }
}

// As another container may see it. In a user namespace of its own the program could not look at the
// node.
TEST_CASE("a directory that a node works in is found out by another path") {
    if (::geteuid() != 0) {
        return;
    }
    const Backup& backup = shared_backup();
    const TempDir scratch;
    std::vector<std::string> arguments{
        "-m", "sh", "-c", "mount --bind \"$NODES\" \"$MOUNTED\"\nexec \"$@\"", "sh", cli_path()};
    for (const auto& argument :
         restore_arguments(backup, scratch.path() / backup.broker.node(), {"--force"})) {
        arguments.push_back(argument);
    }
    const auto refused = run(
        "unshare", arguments,
        {{{"NODES", backup.broker.data_base().string()}, {"MOUNTED", scratch.path().string()}}});
    CHECK_THAT(check_one_error(refused, 1), Catch::Contains("a running node uses"));
    CHECK(fs::exists(backup.broker.data_directory()));
}

TEST_CASE("for people it says what to do next, and needs no Erlang") {
    const Backup& backup = shared_backup();
    const TempDir scratch;
    const auto target = scratch / "it's here";
    const Result restored =
        run(cli_path(), {"restore", "--target-dir", target, "--repository", backup.repository},
            {{{"PATH", "/nonexistent"}, {"HOME", std::nullopt}}});
    INFO(restored.output << restored.error_output);
    REQUIRE(restored.exit_code == 0);
    CHECK_THAT(restored.output,
               Catch::Contains("RABBITMQ_NODENAME=" + backup.broker.node() + " \\\n") &&
                   Catch::Contains("RABBITMQ_MNESIA_DIR='" + (scratch / "it").string() +
                                   "'\\''s here' \\\n") &&
                   Catch::Contains("\n  rabbitmq-server\n"));
}

TEST_CASE("killed at many moments, and then whole") {
    const Backup& backup = shared_backup();
    const TempDir scratch;
    const fs::path target = scratch / "node";
    REQUIRE(restore(backup, target).exit_code == 0);
    const auto whole = contents(target);
    int killed = 0;
    for (int round = 0; round < 40; ++round) {
        for (const auto& entry : fs::directory_iterator(scratch.path())) {
            fs::remove_all(entry.path());
        }
        Process running(cli_path(), restore_arguments(backup, target));
        running.wait_at_most(std::chrono::milliseconds(round * 3));
        running.signal(SIGKILL);
        running.wait();
        if (fs::exists(target)) {
            CHECK((contents(target) == whole));
            continue;
        }
        ++killed;
        const auto again = restore(backup, target);
        INFO(again.output << again.error_output);
        REQUIRE(again.exit_code == 0);
        CHECK((contents(target) == whole));
        CHECK(std::distance(fs::directory_iterator(scratch.path()), {}) == 3);
    }
    CHECK(killed > 5);
}

TEST_CASE("a signal leaves nothing") {
    const Backup& backup = shared_backup();
    const TempDir scratch;
    int interrupted = 0;
    for (int round = 0; round < 10; ++round) {
        const fs::path parent = scratch / std::to_string(round);
        fs::create_directory(parent);
        Process running(cli_path(), restore_arguments(backup, parent / "node"));
        running.wait_at_most(std::chrono::milliseconds(5 + round * 2));
        running.signal(SIGTERM);
        const auto code = running.wait().exit_code;
        if (code == 130) {
            CHECK(fs::is_empty(parent));
            ++interrupted;
        }
    }
    CHECK(interrupted > 0);
}

TEST_CASE("a disk without space, or without permission, is one clear error") {
    const Backup& backup = shared_backup();
    const TempDir scratch;
    const auto full = [&](const std::string& size) {
        const auto result = restore_after("mount -t tmpfs -o size=" + size + " none \"$TARGET\"",
                                          backup, scratch / "node");
        return check_one_error(result, 1);
    };
    CHECK_THAT(full("1m"), Catch::Contains("not enough space"));
    const auto read_only =
        restore_after("mount -t tmpfs -o ro none \"$TARGET\"", backup, scratch / "node");
    CHECK_THAT(check_one_error(read_only, 1), Catch::Contains("Read-only"));
    CHECK(fs::is_empty(scratch.path()));

    const auto mount_point =
        restore_after("mkdir -p \"$TARGET/node\"\nmount -t tmpfs none \"$TARGET/node\"", backup,
                      scratch / "node");
    CHECK_THAT(check_one_error(mount_point, 2), Catch::Contains("mount point"));
}

TEST_CASE("space that ends while a node is restored is one clear error, and nothing is left") {
    const Backup& backup = shared_backup();
    const TempDir scratch;
    // Blocks are there, inodes are not: what is asked before says nothing of it.
    const auto result = restore_after(
        "mount -t tmpfs -o nr_inodes=20 none \"$TARGET\"\n"
        "trap 'ls -A \"$TARGET\" >&2' EXIT\n"
        "run() { \"$@\"; }\nrun \"$@\"; exit $?",
        backup, scratch / "node");
    INFO(result.output << result.error_output);
    CHECK_THAT(check_one_error(result, 1), Catch::Contains("No space left"));
    CHECK(result.error_output.empty());
}

TEST_CASE("flipped bits end a restore, and a salvaged node serves the rest") {
    Backup backup;
    const TempDir scratch;
    const auto file_with = [&](const std::string& ending) {
        const auto repository =
            hot_backup::Repository::open(hot_backup::posix_file_system(), backup.repository);
        auto manifest = repository.read_manifest(backup.id);
        std::string found;
        std::uint64_t size = 0;
        while (const auto entry = manifest.next_file()) {
            if (entry->path.ends_with(ending) && entry->size > size &&
                entry->path.find("coordination") == std::string::npos) {
                found = entry->path;
                size = entry->size;
            }
        }
        return found;
    };
    // The kind of file, and the queues that may lack messages without it.
    std::map<std::string, std::vector<std::string>> damages{
        {".rdq", {"classic", "classic v2"}},
        {".qi", {"classic v2"}},
        {".qs", {"classic v2"}},
        {"journal.jif", {"classic"}},
        {".idx", {"classic"}},
        {".wal", {"quorum"}},
        {"config", {"quorum"}},
        {".segment", {"stream"}},
        {".index", {"stream"}},
    };
    if (tested_version() < hot_backup::RabbitmqVersion{4, 0, 0}) {
        // An index is in its journal until the queue has nothing to do, then in its segments.
        REQUIRE((!file_with("journal.jif").empty() || !file_with(".idx").empty()));
    } else {
        // Every classic queue is of version 2.
        damages[".qi"].emplace_back("classic");
        damages[".qs"].emplace_back("classic");
    }
    for (const auto& [ending, affected] : damages) {
        const bool is_tested = std::ranges::any_of(kinds, [&](const auto& kind) {
            return std::ranges::find(affected, kind.first) != affected.end();
        });
        const std::string file = file_with(ending);
        if (!is_tested || (file.empty() && affected == std::vector<std::string>{"classic"})) {
            continue;
        }
        REQUIRE(!file.empty());
        INFO(file);
        damage(backup, file);
        const fs::path base = scratch.path() / ending;
        fs::create_directory(base);
        const fs::path target = base / backup.broker.node();
        const auto refused = restore(backup, target);
        CHECK(refused.exit_code == 3);
        CHECK(fs::is_empty(base));

        const auto salvaged = restore(backup, target, {"--salvage"});
        INFO(salvaged.output << salvaged.error_output);
        CHECK(salvaged.exit_code == 3);
        REQUIRE(!salvaged.line("summary").at("lost").empty());
        CHECK(salvaged.line("damage").at("what") == "file");
        damage(backup, file);  // back

        const Broker booted({.hot_backup = false, .data = base, .node = backup.broker.node()});
        wait_for_streams(booted);
        for (const auto& [kind, arguments] : kinds) {
            INFO(kind);
            const bool is_affected =
                std::find(affected.begin(), affected.end(), kind) != affected.end();
            if (is_affected && ending == "config") {
                AmqpClient client(booted.amqp_port());
                client.delete_queue(kind);
                client.declare_queue(kind, {.arguments = arguments});
            }
            const auto got = drain(booted, kind);
            const auto all = bodies(kind);
            if (!is_affected) {
                CHECK(got == all);
            }
            if (ending == ".rdq" || ending == ".wal") {
                CHECK(!got.empty());  // what is before the damage
            }
            for (const std::string& body : got) {
                CHECK(std::find(all.begin(), all.end(), body) != all.end());
            }
        }
    }
}
