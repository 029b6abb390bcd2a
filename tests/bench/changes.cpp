// Measures how long a backup keeps the metadata of a broker from being changed: the time for which
// the store stood still, by the manifest, and the slowest change of a client that declares and
// deletes all the time. Beside it, with Khepri, what its own export costs such a client.
//
// Prints medians and ends with 1 when the store stands still for longer than 50 ms.
#include "erlang_port/error.hpp"
#include "sidecar/repository/timestamp.hpp"
#include "tests/bench/statistics.hpp"
#include "tests/harness/broker.hpp"
#include "tests/harness/cli.hpp"
#include "tests/tools/topology.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using bench::median;
using harness::Broker;

constexpr double longest_standstill_ms = 50;

struct Options {
    tools::TopologySize size{10'000, 10'000};
    int rounds = 15;
    bool khepri = false;
};

// Milliseconds, of each round.
struct Times {
    std::vector<double> standstill;  // of the store, by the manifest
    std::vector<double> quiet;       // the slowest change while nothing else is done
    std::vector<double> backup;      // ... around a stop
    std::vector<double> exported;    // ... around an export of Khepri's
};

std::int64_t now_us() {
    return std::chrono::duration_cast<std::chrono::microseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

double slowest_between(const Broker& broker, std::int64_t from, std::int64_t to) {
    const auto times =
        broker.call("changes_probe", "between", {erlang::Term(from), erlang::Term(to)});
    double slowest = 0;
    for (const auto& time : std::get<erlang::List>(times.value()).elements) {
        slowest = std::max(slowest, std::get<double>(time.value()));
    }
    return slowest;
}

// As much time as around a stop, in which nothing is done.
double measure_quiet(const Broker& broker) {
    const auto from = now_us();
    std::this_thread::sleep_for(300ms);
    return slowest_between(broker, from, now_us());
}

void measure_backup(const Broker& broker, Times& times) {
    const auto repository = broker.directory() / "bench";
    const auto created = harness::create_backup(broker, repository);
    const auto summary = created.line("summary");
    if (created.exit_code != 0 || summary.is_null()) {
        throw hot_backup::Error(hot_backup::ErrorCode::failed,
                                "the backup failed: " + created.output + created.error_output);
    }
    const auto instant = hot_backup::parse_timestamp(summary.at("instant").get<std::string>());
    const auto us =
        std::chrono::duration_cast<std::chrono::microseconds>(instant.value().time_since_epoch())
            .count();
    times.backup.push_back(slowest_between(broker, us - 150'000, us + 150'000));
    const auto shown = harness::run_cli({"show", summary.at("backup"), "--json", "--repository",
                                         repository.string()})
                           .line("summary");
    times.standstill.push_back(shown.at("metadata").at("activation_us").get<double>() / 1000);
}

void measure_export(const Broker& broker, Times& times) {
    const auto ends = broker.call("changes_probe", "export", {});
    times.exported.push_back(slowest_between(broker, *ends.element(0)->as<std::int64_t>(),
                                             *ends.element(1)->as<std::int64_t>()));
}

void print(const char* name, const std::vector<double>& times) {
    if (!times.empty()) {
        std::printf("  %-42s %8.1f %8.1f %8.1f\n", name, median(times),
                    bench::percentile(times, 0.95), bench::percentile(times, 1));
    }
}

int run(const Options& options) {
    Broker broker;
    if (options.khepri) {
        broker.eval("rabbit_khepri:is_enabled() orelse rabbit_feature_flags:enable(khepri_db).",
                    2min);
    }
    const auto store =
        erlang::to_string(broker.call("rabbit_hot_backup_compat", "metadata_store", {}));
    std::printf("Making %zu queues and %zu bindings, in %s ...\n", options.size.queues,
                options.size.bindings, store.c_str());
    std::fflush(stdout);
    const auto topology = tools::make_topology(broker, options.size);
    broker.eval("{ok, M, B} = compile:file(\"" CHANGES_PROBE
                "\", [binary, return_errors]), {module, M} = code:load_binary(M, \"\", B), "
                "changes_probe:start().");
    Times times;
    for (int round = 0; round < options.rounds; ++round) {
        times.quiet.push_back(measure_quiet(broker));
        measure_backup(broker, times);
        if (store == "khepri") {
            measure_export(broker, times);
        }
    }
    std::printf("\nMilliseconds, %d rounds %34s %8s %8s\n", options.rounds, "median", "p95", "max");
    print("the store stood still for a backup", times.standstill);
    print("slowest change around a stop", times.backup);
    print("slowest change without a backup", times.quiet);
    print("slowest change during khepri:export/3", times.exported);
    if (store != "khepri") {
        return 0;
    }
    const bool kept = median(times.standstill) <= longest_standstill_ms;
    std::printf("\n  %s  changes of metadata wait for at most %.0f ms\n",
                kept ? "kept  " : "BROKEN", longest_standstill_ms);
    return kept ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    CLI::App app("Measures how long a backup keeps metadata from being changed");
    app.add_option("--queues", options.size.queues)->capture_default_str();
    app.add_option("--bindings", options.size.bindings)->capture_default_str();
    app.add_option("--rounds", options.rounds)->capture_default_str();
    app.add_flag("--khepri", options.khepri, "Have RabbitMQ 4.0 to 4.2 use Khepri.");
    CLI11_PARSE(app, argc, argv);
    try {
        return run(options);
    } catch (const std::exception& error) {
        std::cerr << "bench_changes: " << error.what() << '\n';
        return 2;
    }
}
