// Measures how fast a node with many messages is restored, side by side in one run: our restore,
// which checks each byte while it writes, and what one does without it: `cp -r` of the same data
// directory, sync, and a pass over the copy with a checksum (xxhsum -H2, which is XXH3-128 as ours;
// where it is missing b2sum).
//
// Ends with 1 when ours is slower.
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

using bench::checked;
using harness::Broker;
namespace fs = std::filesystem;

struct Options {
    std::size_t megabytes = 2000;
    int rounds = 5;
};

// Both read from memory, so that it is the writing that is compared.
void settle(const Broker& broker, const fs::path& repository, std::size_t megabytes) {
    bench::settle(broker, 2 * megabytes + megabytes / 4);
    checked("sh", {"-c", "find \"$@\" -type f -exec cat {} + > /dev/null", "sh", repository,
                   broker.data_directory()});
}

double ours(const Broker& broker, const fs::path& repository, long& peak_rss_kib) {
    const fs::path base = broker.directory() / "bench";
    fs::create_directory(base);
    const auto result = checked(harness::cli_path(), {"restore", "--target-dir", base / "node",
                                                      "--repository", repository});
    peak_rss_kib = std::max(peak_rss_kib, result.peak_rss_kib);
    fs::remove_all(base);
    return result.wall.count();
}

// The command that prints the checksums of files.
std::string checksum_command() {
    const bool found = harness::run("sh", {"-c", "command -v xxhsum"}).exit_code == 0;
    return found ? "xxhsum -H2" : "b2sum";
}

double copied(const Broker& broker, const std::string& checksums) {
    const fs::path copy = broker.directory() / "bench";
    const double time = bench::seconds([&] {
        checked("cp", {"-r", broker.data_directory(), copy});
        checked("sync", {"-f", copy});
        checked("sh", {"-c", "find \"$1\" -type f -exec " + checksums + " {} + > \"$1.sums\"", "sh",
                       copy});
    });
    fs::remove_all(copy);
    return time;
}

int run(const Options& options) {
    Broker broker;
    const auto third = options.megabytes * 1'000'000 / 3;
    for (const std::string type : {"classic", "quorum", "stream"}) {
        std::printf("Filling a %s queue ...\n", type.c_str());
        std::fflush(stdout);
        bench::fill(broker, "restore." + type, type, third / 20'000, 20'000);
    }
    const fs::path repository = broker.directory() / "repository";
    bench::check(harness::create_backup(broker, repository), "the backup");
    broker.stop();
    const double megabytes =
        std::stod(checked("du", {"-sb", broker.data_directory()}).output) / 1e6;
    const std::string checksums = checksum_command();
    std::vector<double> our_times, copy_times;
    long peak_rss_kib = 0;
    for (int round = 0; round < options.rounds; ++round) {
        settle(broker, repository, options.megabytes);
        our_times.push_back(ours(broker, repository, peak_rss_kib));
        settle(broker, repository, options.megabytes);
        copy_times.push_back(copied(broker, checksums));
        std::printf("round %d: ours %.2f s, cp, sync, %s %.2f s\n", round + 1, our_times.back(),
                    checksums.c_str(), copy_times.back());
        std::fflush(stdout);
    }
    const double our_time = bench::median(our_times);
    const double copy_time = bench::median(copy_times);
    std::printf("\n%.0f MB, median of %d rounds\n", megabytes, options.rounds);
    std::printf("  rabbitmq-hot-backup restore %8.2f s %8.0f MB/s   peak memory %.1f MiB\n",
                our_time, megabytes / our_time, static_cast<double>(peak_rss_kib) / 1024);
    std::printf("  cp -r, sync, %-14s %8.2f s %8.0f MB/s\n", checksums.c_str(), copy_time,
                megabytes / copy_time);
    const bool fast = our_time <= copy_time;
    std::printf("  %s  not slower than a copy and a pass with a checksum (%.2f times as fast)\n",
                fast ? "kept  " : "BROKEN", copy_time / our_time);
    return fast ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    CLI::App app("Measures a restore against a copy and a pass with a checksum");
    app.add_option("--megabytes", options.megabytes)->capture_default_str();
    app.add_option("--rounds", options.rounds)->capture_default_str();
    CLI11_PARSE(app, argc, argv);
    try {
        return run(options);
    } catch (const std::exception& error) {
        std::cerr << "bench_restore: " << error.what() << '\n';
        return 2;
    }
}
