// Starts a throw-away broker with this build's plugin, fills it, keeps traffic going until SIGINT
// or SIGTERM, and removes it.
//
// For scripts: once everything is there, a file with shell assignments that say how to reach it
// appears. With several nodes, which are a cluster, there is one for each: the names of the others'
// end with .2, .3, ...
#include "erlang_port/error.hpp"
#include "tests/harness/cluster.hpp"
#include "tests/harness/temp_dir.hpp"
#include "tests/tools/topology.hpp"
#include "tests/tools/traffic.hpp"

#include <CLI/CLI.hpp>

#include <sys/prctl.h>
#include <csignal>

#include <filesystem>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

namespace {

struct Options {
    std::size_t nodes = 1;
    tools::TopologySize size{3000, 10000};
    double rate = 500;
    bool plugin = true;
    std::vector<std::string> enabled;
    std::vector<std::string> configuration;
    std::string ready_file;
};

std::string shell_assignments(const harness::Broker& broker) {
    std::string text;
    const auto add = [&](const std::string& name, const std::string& value) {
        text += name + "='" + value + "'\n";
    };
    add("NODE", broker.node());
    add("COOKIE_FILE", broker.cookie_file());
    add("AMQP_PORT", std::to_string(broker.amqp_port()));
    add("MANAGEMENT_PORT", std::to_string(broker.management_port()));
    add("REPOSITORY", broker.repository().string());
    add("BROKER_PID", std::to_string(broker.pid()));
    add("ERL_EPMD_PORT", *broker.client_environment().at("ERL_EPMD_PORT"));
    return text;
}

// Renamed, so that nobody reads half of it.
void write_ready_file(const std::string& file, const harness::Broker& broker) {
    harness::write_file(file + ".tmp", shell_assignments(broker));
    std::filesystem::rename(file + ".tmp", file);
}

void serve(const Options& options, const sigset_t& ending) {
    harness::BrokerOptions wanted{.hot_backup = options.plugin, .plugins = options.enabled};
    for (const auto& line : options.configuration) {
        wanted.configuration += line + '\n';
    }
    harness::Cluster cluster(options.nodes, wanted);
    harness::Broker& broker = cluster.at(0);
    const tools::Topology topology = tools::make_topology(broker, options.size);
    std::unique_ptr<tools::Traffic> traffic;
    if (options.rate > 0) {
        traffic = std::make_unique<tools::Traffic>(
            broker.amqp_port(), tools::TrafficOptions{.messages_per_second = options.rate});
    }
    for (std::size_t number = cluster.size(); number > 1; --number) {
        write_ready_file(options.ready_file + "." + std::to_string(number), cluster.at(number - 1));
    }
    write_ready_file(options.ready_file, broker);
    int signal = 0;
    sigwait(&ending, &signal);
    if (traffic) {
        traffic->stop();
        std::cout << "confirmed=" << traffic->confirmed() << "\nconsumed=" << traffic->consumed()
                  << "\nfailure='" << traffic->failure() << "'\n";
    }
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    CLI::App app("Runs a throw-away RabbitMQ broker until SIGINT or SIGTERM");
    app.add_option("--nodes", options.nodes, "of one cluster");
    app.add_option("--queues", options.size.queues);
    app.add_option("--bindings", options.size.bindings);
    app.add_option("--rate", options.rate, "messages a second, 0 for no traffic");
    app.add_flag("!--no-plugin", options.plugin, "a broker without RabbitMQ Hot Backup");
    app.add_option("--enable", options.enabled, "further plugins");
    app.add_option("--configuration", options.configuration, "lines for rabbitmq.conf");
    app.add_option("--ready-file", options.ready_file, "made once all is there")->required();
    CLI11_PARSE(app, argc, argv);

    // Blocked before the first thread starts, so that only sigwait() gets them.
    sigset_t ending;
    sigemptyset(&ending);
    sigaddset(&ending, SIGINT);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGHUP);
    sigprocmask(SIG_BLOCK, &ending, nullptr);
    // A script that is killed cannot say goodbye.
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    try {
        serve(options, ending);
    } catch (const std::exception& error) {
        std::cerr << "throwaway_broker: " << error.what() << '\n';
        return 1;
    }
}
