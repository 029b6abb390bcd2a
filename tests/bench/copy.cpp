// Measures how fast a node with many messages is backed up, side by side in one run: our backup
// (checksums, synced), `tar` of the same directory, synced, and what the official guide says: stop
// the node, `tar`, start it.
//
// Ends with 1 when ours has less than 0.95 times tar's throughput.
#include "tests/bench/load.hpp"
#include "tests/bench/statistics.hpp"
#include "tests/bench/steps.hpp"
#include "tests/harness/cli.hpp"

#include <CLI/CLI.hpp>

#include <cstdio>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

namespace {

using harness::Broker;

struct Options {
    std::size_t megabytes = 2000;
    int rounds = 5;
};

double ours(const Broker& broker, long& peak_rss_kib) {
    const auto repository = broker.directory() / "bench";
    const auto result = harness::create_backup(broker, repository);
    bench::check(result, "the backup");
    peak_rss_kib = std::max(peak_rss_kib, result.peak_rss_kib);
    std::filesystem::remove_all(repository);
    return result.wall.count();
}

// A file that changes while it is read makes tar end with 1.
double tar(const Broker& broker) {
    const auto archive = broker.directory() / "bench.tar";
    const double time = bench::seconds([&] {
        harness::run("tar", {"-cf", archive, "-C", broker.data_directory(), "."}, {},
                     std::chrono::minutes(10));
        bench::checked("sync", {archive});
    });
    std::filesystem::remove(archive);
    return time;
}

double stopped(Broker& broker) {
    return bench::seconds([&] {
        broker.stop();
        tar(broker);
        broker.start();
    });
}

int run(const Options& options) {
    Broker broker;
    const auto third = options.megabytes * 1'000'000 / 3;
    for (const std::string type : {"classic", "quorum", "stream"}) {
        std::printf("Filling a %s queue ...\n", type.c_str());
        std::fflush(stdout);
        bench::fill(broker, "copy." + type, type, third / 20'000, 20'000);
    }
    const double megabytes =
        std::stod(bench::checked("du", {"-sb", broker.data_directory()}).output) / 1e6;
    const auto filler = options.megabytes + options.megabytes / 4;
    std::vector<double> our_times, tar_times, stopped_times;
    long peak_rss_kib = 0;
    for (int round = 0; round < options.rounds; ++round) {
        bench::settle(broker, filler);
        our_times.push_back(ours(broker, peak_rss_kib));
        bench::settle(broker, filler);
        tar_times.push_back(tar(broker));
        stopped_times.push_back(stopped(broker));
        std::printf("round %d: ours %.2f s, tar %.2f s, stop, tar, start %.2f s\n", round + 1,
                    our_times.back(), tar_times.back(), stopped_times.back());
        std::fflush(stdout);
    }
    const double our_time = bench::median(our_times);
    const double tar_time = bench::median(tar_times);
    const double stopped_time = bench::median(stopped_times);
    std::printf("\n%.0f MB, median of %d rounds\n", megabytes, options.rounds);
    std::printf("  rabbitmq-hot-backup create %8.2f s %8.0f MB/s   peak memory %.1f MiB\n",
                our_time, megabytes / our_time, static_cast<double>(peak_rss_kib) / 1024);
    std::printf("  tar and fsync              %8.2f s %8.0f MB/s\n", tar_time,
                megabytes / tar_time);
    std::printf("  stop, tar, start           %8.2f s %8.0f MB/s\n", stopped_time,
                megabytes / stopped_time);
    const bool fast = tar_time / our_time >= 0.95;
    const bool small = peak_rss_kib < 256 * 1024;
    std::printf("  %s  at least 0.95 times the throughput of tar (%.2f)\n",
                fast ? "kept  " : "BROKEN", tar_time / our_time);
    std::printf("  %s  at most 256 MiB of memory\n", small ? "kept  " : "BROKEN");
    return fast && small ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    CLI::App app("Measures the copy of a node's messages against tar");
    app.add_option("--megabytes", options.megabytes)->capture_default_str();
    app.add_option("--rounds", options.rounds)->capture_default_str();
    CLI11_PARSE(app, argc, argv);
    try {
        return run(options);
    } catch (const std::exception& error) {
        std::cerr << "bench_copy: " << error.what() << '\n';
        return 2;
    }
}
