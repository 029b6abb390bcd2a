#include "tests/sandbox/named_cluster.hpp"

#include "sidecar/repository/cluster_manifest.hpp"
#include "sidecar/repository/identifier.hpp"
#include "sidecar/sandbox/sandbox_hosts.hpp"
#include "tests/harness/wait.hpp"
#include "tests/integration/support.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <stdexcept>

namespace sandbox_test {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using namespace harness;
using namespace hot_backup;

namespace {

const std::vector<std::string> node_names{"rabbit@node-a", "rabbit@node-b", "rabbit@node-c"};

std::string running_nodes() {
    return "length(rabbit_hot_backup_compat:running()).";
}

}  // namespace

NamedCluster::NamedCluster() {
    auto hosts = hosts_of(node_names);
    std::vector<std::shared_ptr<const Epmd>> epmds;
    for (auto& host : hosts) {
        epmds.push_back(std::make_shared<const Epmd>());
        host.epmd = static_cast<std::uint16_t>(std::stoi(epmds.back()->port()));
    }
    write_file(files_ / "inetrc", inetrc(hosts));
    const auto library = cli_path().parent_path() / "librabbitmq_hot_backup_sandbox.so";
    for (std::size_t number = 0; number < nodes; ++number) {
        nodes_.push_back(std::make_unique<Broker>(
            BrokerOptions{.plugins = {"rabbitmq_management_agent"},
                          .environment = {{"ERL_INETRC", (files_ / "inetrc").string()},
                                          {"LD_PRELOAD", library.string()},
                                          {"HOT_BACKUP_HOSTS", host_variable(hosts)}},
                          .node = node_names[number],
                          .epmd = epmds[number],
                          .cookie = "NAMEDCLUSTER",
                          .await = false}));
    }
    for (auto& node : nodes_) {
        node->await();
    }
    for (std::size_t number = 1; number < nodes; ++number) {
        auto& node = at(number);
        node.eval("rabbit:stop(), ok.", 60s);
        node.eval("First = list_to_atom(\"" + node_names.front() +
                      "\"), ok = case erlang:function_exported(rabbit_db_cluster, join, 2) of "
                      "true -> rabbit_db_cluster:join(First, disc); "
                      "false -> rabbit_mnesia:join_cluster(First, disc) end, ok = rabbit:start().",
                  60s);
    }
    wait_until_running(nodes);
}

void NamedCluster::wait_until_running(std::size_t count) {
    for (std::size_t number = 0; number < count; ++number) {
        wait_for("the nodes at " + at(number).node(), 60s,
                 [&] { return at(number).eval(running_nodes()).as_unsigned() == count; });
    }
}

std::string NamedCluster::back_up(const fs::path& repository, const std::string& options) {
    auto& first = at(0);
    std::string map = options;
    if (!repository.empty()) {
        map += (map.empty() ? "" : ", ") + std::string("repository => <<\"") + repository.string() +
               "\">>";
    }
    // The others may not have ended the one before yet.
    for (auto& node : nodes_) {
        if (node->running()) {
            integration::wait_until_idle(*node);
        }
    }
    const auto job = first.eval("{ok, Job} = rabbit_hot_backup:start_backup(#{" + map + "}), Job.")
                         .as_unsigned();
    const auto done = integration::wait_until_finished(first, job.value());
    INFO(done.error_message);
    REQUIRE(done.state == "done");
    const auto place =
        Repository::open(posix_file_system(), repository.empty() ? first.repository() : repository);
    return place.resolve("latest");
}

std::vector<std::string> cluster_queues() {
    std::vector<std::string> names;
    for (const auto& type : queue_types()) {
        for (std::size_t node = 0; node < NamedCluster::nodes; ++node) {
            names.push_back(type + std::to_string(node));
        }
    }
    return names;
}

FilledCluster::FilledCluster() {
    for (std::size_t number = 0; number < NamedCluster::nodes; ++number) {
        AmqpClient client(cluster.at(number).amqp_port());
        for (const auto& type : queue_types()) {
            const auto name = type + std::to_string(number);
            client.declare_queue(name, {.arguments = {{"x-queue-type", {type}}}});
            for (int message = 0; message < cluster_messages; ++message) {
                client.publish("", name, name + " " + std::to_string(message));
            }
        }
    }
    for (std::size_t number = 0; number < NamedCluster::nodes; ++number) {
        Load load;
        load.messages["classic" + std::to_string(number)] = cluster_messages;
        load.messages["quorum" + std::to_string(number)] = cluster_messages;
        wait_until_quiet(cluster.at(number), load);
    }
    backup = cluster.back_up(shared());
    in_own = cluster.back_up();
}

FilledCluster& filled_cluster() {
    static FilledCluster filled;
    return filled;
}

std::string rewrite_part(const fs::path& directory, const std::string& backup,
                         const std::string& node, const Contents& contents) {
    const auto repository = Repository::open(posix_file_system(), directory);
    const Lock lock(posix_file_system(), repository.directory(), "test");
    const auto id = next_backup_id(now(), repository.last_id());
    auto manifest = repository.read_cluster(backup);
    for (auto& part : manifest.parts) {
        BackupWriter::Options options;
        options.cluster_backup = id;
        BackupWriter writer(repository, lock, now(), options);
        auto files = repository.read_manifest(part.backup);
        copy_entries(files, writer, part.node == node ? contents : Contents{});
        auto summary = files.summary();
        summary.part->cluster_backup = id;
        summary = writer.publish(summary);
        part.backup = writer.id();
        part.manifest_digest = writer.published().digest;
        part.manifest_bytes = writer.published().bytes;
        part.files = summary.files;
        part.bytes = summary.bytes;
        part.stored_bytes = summary.stored_bytes;
    }
    add_up(manifest);
    repository.publish_cluster(lock, id, to_text(manifest, id));
    return id;
}

std::string part_of(const fs::path& directory, const std::string& backup, const std::string& node) {
    const auto manifest = Repository::open(posix_file_system(), directory).read_cluster(backup);
    return std::ranges::find(manifest.parts, node, &ClusterPart::node)->backup;
}

}  // namespace sandbox_test
