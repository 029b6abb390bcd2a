#include "tests/sandbox/support.hpp"

#include "erlang_port/error.hpp"
#include "sidecar/repository/file_reader.hpp"
#include "sidecar/sandbox/queue_differences.hpp"
#include "tests/harness/amqp_client.hpp"
#include "tests/harness/wait.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <set>
#include <stdexcept>

namespace sandbox_test {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using namespace harness;
using hot_backup::BackupWriter;
using hot_backup::FileReader;
using hot_backup::Lock;
using hot_backup::posix_file_system;
using hot_backup::Repository;

namespace {

constexpr int transient_messages = 50;

const std::string definitions = R"({
  "vhosts": [{"name": "/"}, {"name": "Grüße/日本 \"1\""}],
  "users": [{"name": "guest", "password": "guest", "tags": "administrator"},
            {"name": "überwacher", "password": "secret", "tags": "monitoring"}],
  "permissions": [
    {"user": "guest", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"},
    {"user": "guest", "vhost": "Grüße/日本 \"1\"", "configure": ".*", "write": ".*", "read": ".*"}],
  "topic_permissions": [
    {"user": "überwacher", "vhost": "/", "exchange": "amq.topic", "write": "^a", "read": ".*"}],
  "policies": [
    {"vhost": "/", "name": "länge", "pattern": "^never", "apply-to": "queues", "priority": 1,
     "definition": {"max-length": 1000000}},
    {"vhost": "/", "name": "upstream", "pattern": "^federated", "apply-to": "all", "priority": 2,
     "definition": {"federation-upstream-set": "all"}}],
  "parameters": [
    {"vhost": "/", "component": "federation-upstream", "name": "elsewhere",
     "value": {"uri": "amqp://127.0.0.1:1"}}],
  "global_parameters": [{"name": "site", "value": {"rack": 7}}]
})";

AmqpTable of_type(const std::string& type) {
    return {{"x-queue-type", {type}}};
}

// Large bodies go to the message store, small ones into the index.
std::string body(int n) {
    return std::to_string(n) + std::string(n % 3 == 0 ? 6000 : 100, 'x');
}

void declare(AmqpClient& client) {
    client.declare_queue("classic");
    client.declare_queue("classic v2", {.arguments = {{"x-queue-version", {std::int32_t{2}}}}});
    client.declare_queue("lazy", {.arguments = {{"x-queue-mode", {std::string("lazy")}}}});
    client.declare_queue("priority", {.arguments = {{"x-max-priority", {std::int32_t{4}}}}});
    client.declare_queue("mixed");
    client.declare_queue("empty");
    client.declare_queue("expiring");
    client.declare_queue("quorum ✓", {.arguments = of_type("quorum")});
    if (has_streams()) {
        client.declare_queue("stream", {.arguments = of_type("stream")});
        client.declare_queue("empty stream", {.arguments = of_type("stream")});
    }
    client.declare_queue("federated queue");
    client.declare_exchange("federated exchange", "fanout");
    client.declare_exchange("hashed", "x-consistent-hash");
    client.declare_exchange("rest", "topic", {.arguments = {{"x-note", {true}}}});
    client.bind_queue("classic", "hashed", "1");
    client.bind_queue("quorum ✓", "rest", "a.*.ü", {{"x-why", {std::string("because")}}});
    client.bind_exchange("rest", "federated exchange", "");
}

// Ready and not acknowledged, as the node's statistics have it.
std::uint64_t counted(const Broker& broker, const std::string& queue) {
    const auto row = broker.call("ets", "lookup",
                                 {erlang::atom("queue_coarse_metrics"),
                                  erlang::tuple({erlang::atom("resource"), erlang::binary("/"),
                                                 erlang::atom("queue"), erlang::binary(queue)})});
    const auto& rows = std::get<erlang::List>(row.value()).elements;
    return rows.empty() ? 0 : rows.front().element(3)->as_unsigned().value_or(0);
}

bool has_rested(const fs::path& directory) {
    std::error_code gone;
    for (fs::recursive_directory_iterator entry(directory, gone), end; !gone && entry != end;
         entry.increment(gone)) {
        const auto time = fs::last_write_time(entry->path(), gone);
        if (!gone && fs::file_time_type::clock::now() - time < hot_backup::quiet_time + 500ms) {
            return false;
        }
    }
    return true;
}

}  // namespace

void fill(AmqpClient& client, const std::string& queue, int count, const PublishOptions& options) {
    std::set<std::uint64_t> due;
    for (int n = 0; n < count; ++n) {
        PublishOptions each = options;
        each.priority = static_cast<std::uint8_t>(n % 4);
        due.insert(client.send("", queue, body(n), each));
    }
    while (!due.empty()) {
        const auto event = client.next_event(30s);
        REQUIRE(event.has_value());
        const auto& confirm = std::get<Confirm>(*event);
        REQUIRE_FALSE(confirm.refused);
        const auto end = due.upper_bound(confirm.number);
        due.erase(confirm.multiple ? due.begin() : due.find(confirm.number), end);
    }
}

Load load_node(Broker& broker, int lifetime_seconds) {
    const TempDir files;
    write_file(files / "definitions.json", definitions);
    broker.rabbitmqctl({"import_definitions", files / "definitions.json"});
    AmqpClient client(broker.amqp_port());
    declare(client);
    Load load;
    for (const char* queue : {"classic", "classic v2", "lazy", "priority", "quorum ✓"}) {
        fill(client, queue, 300);
        load.messages[queue] = 300;
    }
    fill(client, "mixed", transient_messages, {.persistent = false});
    fill(client, "mixed", 7);
    load.messages["mixed"] = 7;
    fill(client, "expiring", 20, {.expiration = std::to_string(lifetime_seconds * 1000)});
    load.messages["expiring"] = 20;
    load.messages["empty"] = 0;
    if (has_streams()) {
        fill(client, "stream", 200);
        load.stream_records = 200;
    }

    AmqpClient other(broker.amqp_port(), awkward_vhost);
    other.declare_queue("aufträge");
    other.declare_queue("quorum", {.arguments = of_type("quorum")});
    fill(other, "aufträge", 10);
    fill(other, "quorum", 10);

    // One message is taken, and some are on their way.
    load.consumer = std::make_unique<AmqpClient>(broker.amqp_port());
    REQUIRE(load.consumer->get("quorum ✓").has_value());
    load.messages["quorum ✓"] -= 1;
    for (const char* queue : {"classic", "quorum ✓"}) {
        load.consumer->consume(queue, 3);
    }
    for (int n = 0; n < 6; ++n) {
        REQUIRE(load.consumer->next_delivery(10s).has_value());
    }
    return load;
}

void wait_until_quiet(const Broker& broker, const Load& load) {
    wait_for("the statistics", 60s, [&] {
        return std::ranges::all_of(load.messages, [&](const auto& queue) {
            return counted(broker, queue.first) ==
                   queue.second + (queue.first == "mixed" ? transient_messages : 0U);
        });
    });
    for (const char* directory : {"msg_stores", "quorum"}) {
        wait_for("the node's rest", 60s,
                 [&] { return has_rested(broker.data_directory() / directory); });
    }
}

BackedUpNode::BackedUpNode()
    : broker({.plugins = {"rabbitmq_management_agent", "rabbitmq_consistent_hash_exchange",
                          "rabbitmq_federation"}}),
      load(load_node(broker, 40)) {
    wait_until_quiet(broker, load);
    const auto created = create_backup(broker, repository());
    INFO(created.output << created.error_output);
    REQUIRE(created.exit_code == 0);
    backup = created.line("summary").at("backup");
}

BackedUpNode& backed_up_node() {
    static BackedUpNode node;
    return node;
}

void copy_entries(hot_backup::ManifestReader& manifest, hot_backup::BackupWriter& writer,
                  const Contents& contents) {
    std::size_t found = 0;
    while (const auto entry = manifest.next_file()) {
        const auto other = contents.find(entry->path);
        found += other == contents.end() ? 0U : 1U;
        if (other == contents.end()) {
            writer.add_entry(*entry);
        } else if (other->second) {
            auto file = writer.add_file(entry->path, entry->kind, entry->origin);
            file.append(*other->second);
            file.close();
        }
    }
    if (found != contents.size()) {
        throw std::logic_error("the backup lacks a file that is to be rewritten");
    }
}

std::string rewrite_backup(const fs::path& directory, const std::string& backup,
                           const Contents& contents,
                           const std::function<void(hot_backup::Summary&)>& change) {
    const auto repository = Repository::open(posix_file_system(), directory);
    const Lock lock(posix_file_system(), repository.directory(), "test");
    BackupWriter writer(repository, lock);
    auto manifest = repository.read_manifest(backup);
    copy_entries(manifest, writer, contents);
    auto summary = manifest.summary();
    if (change) {
        change(summary);
    }
    writer.publish(summary);
    return writer.id();
}

std::vector<std::string> paths_of(const fs::path& directory, const std::string& backup,
                                  const std::string& begin, const std::string& end) {
    const auto repository = Repository::open(posix_file_system(), directory);
    std::vector<std::string> paths;
    auto manifest = repository.read_manifest(backup);
    while (const auto entry = manifest.next_file()) {
        if (entry->path.starts_with(begin) && entry->path.ends_with(end)) {
            paths.push_back(entry->path);
        }
    }
    return paths;
}

std::string content_of(const fs::path& directory, const std::string& backup,
                       const std::string& path) {
    const auto repository = Repository::open(posix_file_system(), directory);
    FileReader reader(repository, repository.find_file(backup, path));
    std::string content;
    while (const auto piece = reader.next()) {
        content += *piece;
    }
    return content;
}

std::vector<std::string> drill_arguments(const fs::path& repository, const std::string& backup,
                                         const fs::path& scratch) {
    return {"verify", backup, "--boot", "--json", "--repository", repository, "--scratch", scratch};
}

CliResult drill(const fs::path& repository, const std::string& backup, const fs::path& scratch,
                const std::vector<std::string>& more) {
    auto arguments = drill_arguments(repository, backup, scratch);
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_cli(arguments, {}, 5min);
}

std::vector<nlohmann::json> lines_of(const CliResult& result, const std::string& type) {
    std::vector<nlohmann::json> found;
    std::ranges::copy_if(result.lines, std::back_inserter(found),
                         [&](const auto& line) { return line.at("message_type") == type; });
    return found;
}

std::vector<std::string> names_in(const fs::path& directory) {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(directory)) {
        names.push_back(entry.path().filename());
    }
    std::ranges::sort(names);
    return names;
}

std::vector<pid_t> processes_of(const fs::path& directory) {
    std::vector<pid_t> found;
    for (const auto& process : fs::directory_iterator("/proc")) {
        const std::string name = process.path().filename();
        if (name.find_first_not_of("0123456789") != std::string::npos ||
            std::stoi(name) == getpid()) {
            continue;
        }
        std::error_code gone;
        const auto place = fs::read_symlink(process.path() / "cwd", gone).string();
        if (place.starts_with(directory.string()) ||
            read_file(process.path() / "environ").find(directory.string()) != std::string::npos ||
            read_file(process.path() / "cmdline").find(directory.string()) != std::string::npos) {
            found.push_back(std::stoi(name));
        }
    }
    return found;
}

}  // namespace sandbox_test
