#include "tests/integration/network_cluster.hpp"

#include "tests/harness/cli.hpp"
#include "tests/harness/wait.hpp"
#include "tests/integration/support.hpp"

#include <catch2/catch.hpp>

#include <ostream>
#include <regex>

namespace integration {

using namespace harness;
using namespace std::chrono_literals;

namespace {

// The nodes' settings have the default for max_pause, 250 ms. Besides it, what two busy cores may
// add until a process runs again.
constexpr std::chrono::milliseconds longest_pause = 250ms + 500ms;

BrokerOptions with_partitions(BrokerOptions options) {
    // Not what RabbitMQ makes of a partition is tested.
    options.configuration = "cluster_partition_handling = ignore\n";
    // A node that does not answer is given up after some three to five seconds, not after a minute.
    options.erlang_arguments = "-kernel net_ticktime 4";
    return options;
}

erlang::Term cluster_probe(const Broker& broker, const std::string& function,
                           std::vector<erlang::Term> arguments = {}) {
    if (broker.call("code", "is_loaded", {erlang::atom("cluster_probe")}).is_atom("false")) {
        load_module(broker, CLUSTER_PROBE);
    }
    return broker.call("cluster_probe", function, std::move(arguments));
}

// Before the test asks it in the middle of something.
void load_probe(const Broker& broker) {
    cluster_probe(broker, "go_on");
}

bool halts(const Broker& broker) {
    return cluster_probe(broker, "is_reached").is_atom("true");
}

std::string running(const Broker& broker) {
    return erlang::to_string(cluster_probe(broker, "what_runs"), 4000);
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const Moment& moment) {
    return out << (moment.role == Role::coordinator ? "coordinator" : "participant") << " at "
               << moment.step;
}

std::vector<std::size_t> all_nodes() {
    std::vector<std::size_t> numbers;
    for (std::size_t number = 0; number < NetworkCluster::nodes; ++number) {
        numbers.push_back(number);
    }
    return numbers;
}

std::vector<std::size_t> others(std::size_t node) {
    auto numbers = all_nodes();
    std::erase(numbers, node);
    return numbers;
}

NetworkCluster::NetworkCluster(BrokerOptions options, std::size_t spare)
    : options_(with_partitions(std::move(options))),
      network_(nodes + spare),
      cluster_(nodes, network_, options_) {}

void NetworkCluster::restart_application(std::size_t node) {
    cluster_.at(node).eval("rabbit:stop(), rabbit:start().", 2min);
    wait_until_whole();
}

void NetworkCluster::wait_until_whole() {
    cluster_.wait_until_whole();
    for (const auto number : all_nodes()) {
        const Broker& broker = cluster_.at(number);
        wait_for("the plugin of " + broker.node(), 60s, [&] {
            return broker.eval("is_pid(whereis(rabbit_hot_backup_part)).").is_atom("true");
        });
    }
}

void NetworkCluster::wait_until_idle(const std::vector<std::size_t>& numbers) {
    for (const auto number : numbers) {
        const Broker& broker = cluster_.at(number);
        INFO(broker.node());
        std::string left;
        try {
            wait_for("the end of all that runs", 20s,
                     [&] { return (left = running(broker)) == "[]"; });
        } catch (const hot_backup::Error&) {
            // What is left says more.
        }
        CHECK(left == "[]");
        // The plugin keeps one for the next backup.
        CHECK(broker.port_programs().size() <= 1);
    }
}

void NetworkCluster::check_next_backup() {
    const TempDir files;
    const Broker& coordinator = cluster_.at(0);
    const CliResult created =
        run_cli(create_arguments(coordinator, files / "repository"), coordinator.client_options());
    INFO(created.output << created.error_output);
    REQUIRE(created.exit_code == 0);
    CHECK(created.line("summary").at("parts").size() == nodes);
    CHECK(check_listed_is_whole(files / "repository") == 1);
}

void NetworkCluster::check_logged_pauses() {
    static const std::regex pause("paused for ([0-9]+)\\.[0-9] ms");
    std::size_t count = 0;
    for (const auto number : all_nodes()) {
        const std::string log = cluster_.at(number).log();
        for (std::sregex_iterator found(log.begin(), log.end(), pause), end; found != end;
             ++found) {
            ++count;
            CHECK(std::chrono::milliseconds(std::stoi((*found)[1])) <
                  longest_pause + machine_.longest());
        }
    }
    CHECK(count > 0);
}

MachineWatch::MachineWatch()
    : thread_([this](const std::stop_token& stop) {
          using Clock = std::chrono::steady_clock;
          for (auto last = Clock::now(); !stop.stop_requested();) {
              std::this_thread::sleep_for(1ms);
              const auto now = Clock::now();
              const auto passed = std::chrono::duration_cast<std::chrono::milliseconds>(now - last);
              longest_ = std::max(longest_.load(), passed);
              last = now;
          }
      }) {}

HaltedBackup::HaltedBackup(NetworkCluster& cluster, std::size_t coordinator, const Moment& moment,
                           const std::vector<std::string>& arguments)
    : cluster_(cluster),
      coordinator_(coordinator),
      victim_(moment.role == Role::coordinator ? coordinator
                                               : (coordinator + 1) % NetworkCluster::nodes),
      create_([&]() -> Process {
          for (const auto number : all_nodes()) {
              const Broker& broker = cluster.cluster().at(number);
              probe(broker, "watch_pauses");
              load_probe(broker);
          }
          cluster_probe(victim_broker(), "break_at", {erlang::atom(moment.step)});
          const Broker& conducting = cluster.cluster().at(coordinator);
          auto all = create_arguments(conducting, repository());
          all.insert(all.end(), arguments.begin(), arguments.end());
          return Process(cli_path(), all, conducting.client_options());
      }()) {
    wait_for("the moment", 60s, [&] { return halts(victim_broker()) || !create_.running(); });
    INFO(create_.output() << create_.error_output());
    REQUIRE(create_.running());
}

void HaltedBackup::go_on() {
    cluster_probe(victim_broker(), "go_on");
}

bool HaltedBackup::finish(std::chrono::seconds patience) {
    const Result& created = create_.wait(patience);
    INFO(created.output << created.error_output);
    if (created.exit_code != 0) {
        check_one_error(created, created.exit_code);
    }
    const bool is_there = finish_without_create();
    // Who publishes and is lost at once cannot say so any more.
    if (created.exit_code == 0) {
        CHECK(is_there);
    }
    return is_there;
}

bool HaltedBackup::finish_without_create() {
    return std::filesystem::exists(repository()) && check_listed_is_whole(repository()) > 0;
}

void HaltedBackup::check_pauses(const std::vector<std::size_t>& numbers) {
    for (const auto number : numbers) {
        INFO(cluster_.cluster().at(number).node());
        const auto probed = probe(cluster_.cluster().at(number), "longest_pause");
        const auto* longest = probed.as<std::int64_t>();
        REQUIRE(longest != nullptr);
        CHECK(std::chrono::milliseconds(*longest) < longest_pause + machine_.longest());
    }
}

}  // namespace integration
