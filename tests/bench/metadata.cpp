// Measures a metadata backup against the broker's own means, in one run on one broker:
// `mnesia:backup/1` and `rabbitmqctl export_definitions`; and what the backup costs the broker
// while the reader is slow.
//
// Prints medians and ends with 1 when a promise is broken: metadata in at most the time of
// mnesia:backup/1 and at least ten times faster than the export, less than 256 MiB of memory in the
// program, and broker memory that does not grow with the tables.
#include "tests/bench/memory_watch.hpp"
#include "tests/bench/statistics.hpp"
#include "tests/bench/steps.hpp"
#include "tests/harness/broker.hpp"
#include "tests/harness/cli.hpp"
#include "tests/harness/process.hpp"
#include "tests/harness/wait.hpp"
#include "tests/tools/topology.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <iostream>
#include <string>
#include <vector>

namespace {

using bench::median;
using bench::seconds;
using harness::Broker;

struct Options {
    tools::TopologySize size{20'000, 200'000};
    int rounds = 5;
};

struct Times {
    // Seconds. `metadata` is the part of `ours` that streams the checkpoint.
    std::vector<double> ours, metadata, mnesia, export_definitions;
    long peak_rss_kib = 0;  // the largest of all rounds
};

struct Measured {
    double whole = 0;
    double metadata = 0;
    long peak_rss_kib = 0;
};

Measured measure_backup(const Broker& broker) {
    harness::Process create(harness::cli_path(),
                            harness::create_arguments(broker, broker.directory() / "bench"),
                            {broker.client_environment()});
    const auto time_of = [&](const std::string& phase) {
        harness::wait_for(phase, std::chrono::minutes(2), [&] {
            return create.output().find("\"phase\":\"" + phase + "\"") != std::string::npos ||
                   !create.running();
        });
        return std::chrono::steady_clock::now();
    };
    const auto begun = time_of("metadata");
    const auto ended = time_of("publishing");
    const auto& result = create.wait(std::chrono::minutes(2));
    bench::check(result, "the backup");
    return {result.wall.count(), std::chrono::duration<double>(ended - begun).count(),
            result.peak_rss_kib};
}

// Taking turns, so that whatever else the machine does meets all three.
Times measure(Broker& broker, int rounds) {
    Times times;
    const std::string target = broker.directory() / "mnesia.backup";
    for (int round = 0; round < rounds; ++round) {
        const Measured measured = measure_backup(broker);
        times.ours.push_back(measured.whole);
        times.metadata.push_back(measured.metadata);
        times.peak_rss_kib = std::max(times.peak_rss_kib, measured.peak_rss_kib);

        const erlang::Term timed =
            broker.eval("{Time, ok} = timer:tc(mnesia, backup, [\"" + target + "\"]), Time.",
                        std::chrono::minutes(5));
        times.mnesia.push_back(static_cast<double>(*timed.as<std::int64_t>()) / 1e6);

        times.export_definitions.push_back(seconds([&] {
            broker.rabbitmqctl({"export_definitions", broker.directory() / "definitions.json"},
                               std::chrono::minutes(10));
        }));
        std::printf(
            "round %d: ours %.2f s (metadata %.2f s), mnesia:backup/1 %.2f s, export_definitions "
            "%.2f s\n",
            round + 1, times.ours.back(), times.metadata.back(), times.mnesia.back(),
            times.export_definitions.back());
        std::fflush(stdout);
    }
    return times;
}

std::int64_t table_bytes(const Broker& broker) {
    const erlang::Term words = broker.eval(
        "lists:sum([mnesia:table_info(T, memory) || T <- mnesia:system_info(tables)])"
        " * erlang:system_info(wordsize).");
    return *words.as<std::int64_t>();
}

double mib(double bytes) {
    return bytes / (1024 * 1024);
}

struct Memory {
    bench::Growth growth;
    std::int64_t tables = 0;
};

// How much memory the broker needs beyond what it had, while a backup's reader stands still most of
// the time.
Memory measure_slow_reader(Broker& broker) {
    // Garbage of the topology's clients is no cost of the backup, nor shall it hide one.
    broker.eval("[erlang:garbage_collect(P) || P <- processes()], ok.");
    bench::MemoryWatch watch(broker);
    bench::back_up_slowly(broker, broker.directory() / "slow");
    return {watch.finish(), table_bytes(broker)};
}

void print_memory(const char* name, const Memory& memory) {
    std::printf("  %-10s %9.1f %18.1f %18.1f\n", name, mib(static_cast<double>(memory.tables)),
                mib(static_cast<double>(memory.growth.vm)),
                mib(static_cast<double>(memory.growth.resident)));
}

bool promise(bool kept, const std::string& text) {
    std::printf("  %s  %s\n", kept ? "kept  " : "BROKEN", text.c_str());
    return kept;
}

int report(const Times& times, const Memory& small, const Memory& large) {
    const double ours = median(times.ours);
    const double metadata = median(times.metadata);
    const double mnesia = median(times.mnesia);
    const double exported = median(times.export_definitions);
    const double rss = static_cast<double>(times.peak_rss_kib) / 1024;
    std::printf("\nMedian of %zu rounds\n", times.ours.size());
    std::printf("  %-26s %8.2f s   with the files of all queues; peak memory %.1f MiB\n",
                "rabbitmq-hot-backup create", ours, rss);
    std::printf("  %-26s %8.2f s\n", "  of it the metadata", metadata);
    std::printf("  %-26s %8.2f s   %.2f times our metadata\n", "mnesia:backup/1", mnesia,
                mnesia / metadata);
    std::printf("  %-26s %8.2f s   %.1f times our metadata\n", "export_definitions", exported,
                exported / metadata);
    std::printf("\nThe broker's memory during a backup to a slow disk, MiB\n");
    std::printf("  %-10s %9s %18s %18s\n", "topology", "tables", "peak growth (VM)", "(resident)");
    print_memory("a tenth", small);
    print_memory("whole", large);
    std::printf("\nPromises\n");
    const auto extra_tables = static_cast<double>(large.tables - small.tables);
    const auto extra_growth = static_cast<double>(large.growth.vm - small.growth.vm);
    bool kept = promise(metadata <= mnesia, "at most the time of mnesia:backup/1");
    kept &= promise(exported >= 10 * metadata, "at least ten times faster than export_definitions");
    kept &= promise(rss < 256, "less than 256 MiB of memory in the program");
    // A copy of the tables anywhere in the VM would show as all of the difference.
    kept &= promise(extra_growth < extra_tables / 4,
                    "the broker's memory does not grow with its tables");
    return kept ? 0 : 1;
}

int run(const Options& options) {
    const auto make = [&](Broker& broker, const tools::TopologySize& size) {
        std::printf("Making %zu queues and %zu bindings ...\n", size.queues, size.bindings);
        std::fflush(stdout);
        return tools::make_topology(broker, size);
    };
    const tools::TopologySize tenth{options.size.queues / 10, options.size.bindings / 10};
    Memory small;
    {
        Broker broker;
        const tools::Topology topology = make(broker, tenth);
        small = measure_slow_reader(broker);
    }
    Broker broker;
    const tools::Topology topology = make(broker, options.size);
    const Times times = measure(broker, options.rounds);
    const Memory large = measure_slow_reader(broker);
    return report(times, small, large);
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    CLI::App app("Measures metadata backups against the broker's own means");
    app.add_option("--queues", options.size.queues)->capture_default_str();
    app.add_option("--bindings", options.size.bindings)->capture_default_str();
    app.add_option("--rounds", options.rounds)->capture_default_str();
    CLI11_PARSE(app, argc, argv);
    try {
        return run(options);
    } catch (const std::exception& error) {
        std::cerr << "bench_metadata: " << error.what() << '\n';
        return 2;
    }
}
