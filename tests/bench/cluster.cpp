// Measures how long the nodes of a cluster are paused for a backup of all of them, on this machine:
// the longest pause of a node, and for how long all stood still together; by loopback, and over
// networks of which the round trip is told (harness::Network, which needs root).
//
// Prints medians and ends with 1 when the median of the pause is longer than 10 ms and three round
// trips between nodes.
#include "tests/harness/cluster.hpp"
#include "tests/bench/statistics.hpp"
#include "tests/harness/cli.hpp"
#include "tests/harness/datagrams.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <string>
#include <vector>

namespace {

constexpr double longest_pause_ms = 10;

struct Options {
    std::vector<std::size_t> nodes{3, 5};
    std::vector<double> delays{0.2, 2};  // milliseconds, there and back
    int rounds = 30;
};

// Milliseconds, of each round.
struct Times {
    std::vector<double> pause;  // the longest of a node
    std::vector<double> overlap;
    std::vector<double> round_trip;
    std::vector<double> attempts;  // their number
};

void back_up(const harness::Broker& coordinator, Times& times) {
    const auto created = harness::run_cli({"create", "--node", coordinator.node(), "--cookie-file",
                                           coordinator.cookie_file(), "--json"},
                                          coordinator.client_options());
    if (created.exit_code != 0) {
        throw std::runtime_error(created.output + created.error_output);
    }
    const auto stop = created.line("summary").at("stop");
    const auto milliseconds = [&](const char* key) { return stop.at(key).get<double>() / 1000; };
    times.pause.push_back(milliseconds("pause_us"));
    times.overlap.push_back(milliseconds("overlap_us"));
    times.round_trip.push_back(milliseconds("round_trip_us"));
    times.attempts.push_back(stop.at("attempts").get<double>());
}

void print(const char* what, const std::vector<double>& values) {
    std::printf("  %-42s %8.1f %8.1f %8.1f\n", what, bench::median(values),
                bench::percentile(values, 0.95), *std::ranges::max_element(values));
}

// Whether the promise is kept.
bool measure(const harness::Cluster& cluster, const std::string& network, int rounds) {
    Times times;
    for (int round = 0; round < rounds; ++round) {
        back_up(cluster.at(static_cast<std::size_t>(round) % cluster.size()), times);
    }
    std::printf("\n%zu nodes, %s, %d backups\n  %-42s %8s %8s %8s\n", cluster.size(),
                network.c_str(), rounds, "milliseconds", "median", "p95", "max");
    print("longest pause of a node", times.pause);
    print("all still together (shown by clocks)", times.overlap);
    print("round trip between nodes", times.round_trip);
    print("attempts", times.attempts);
    const double allowed = longest_pause_ms + 3 * bench::median(times.round_trip);
    const bool kept = bench::median(times.pause) <= allowed;
    std::printf("  %s a pause of at most %.1f ms\n", kept ? "kept   " : "BROKEN ", allowed);
    return kept;
}

bool measure(std::size_t nodes, int rounds) {
    return measure(harness::Cluster(nodes), "loopback", rounds);
}

bool measure(std::size_t nodes, double delay, int rounds) {
    harness::Network network(nodes);
    network.set_one_way_delay(
        std::chrono::microseconds(static_cast<std::int64_t>(delay * 1000 / 2)));
    const auto round_trip = harness::measure_round_trip(network.host(0), network.host(1));
    std::array<char, 80> text{};
    std::snprintf(text.data(), text.size(),
                  "a network with a round trip of %.2f ms (measured %.2f)", delay,
                  static_cast<double>(round_trip.count()) / 1000);
    return measure(harness::Cluster(nodes, network), text.data(), rounds);
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    CLI::App app("Pauses of a cluster for a backup.");
    app.add_option("--nodes", options.nodes, "Sizes of clusters.")->capture_default_str();
    app.add_option(
           "--delay", options.delays,
           "Round trips of networks between the nodes in milliseconds: half of it each way. "
           "0: loopback, which is measured anyway.")
        ->capture_default_str();
    app.add_option("--rounds", options.rounds)->capture_default_str();
    CLI11_PARSE(app, argc, argv);
    try {
        bool kept = true;
        for (const auto nodes : options.nodes) {
            kept = measure(nodes, options.rounds) && kept;
            for (const auto delay : options.delays) {
                kept = (delay <= 0 || measure(nodes, delay, options.rounds)) && kept;
            }
        }
        return kept ? 0 : 1;
    } catch (const std::exception& error) {
        std::cerr << error.what() << std::endl;
        return 1;
    }
}
