// Measures what clients feel of a backup: the pause, by the number of queues, idle and under load;
// by the number of messages; the latency of confirms around the stop and away from it; and the
// throughput lost while files are copied, with and without the rate limit.
//
// Ends with 1 when a promise is broken: a median pause of at most 10 ms, a 95th percentile of at
// most 50 ms, and a pause that does not grow with the number of messages.
#include "sidecar/repository/timestamp.hpp"
#include "tests/bench/load.hpp"
#include "tests/bench/statistics.hpp"
#include "tests/bench/steps.hpp"
#include "tests/harness/amqp_client.hpp"
#include "tests/harness/cli.hpp"

#include <CLI/CLI.hpp>

#include <cstdio>
#include <filesystem>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using harness::Broker;

struct Options {
    std::vector<std::size_t> queues{1, 100, 2000, 8000};
    std::vector<std::size_t> messages{100'000, 1'000'000};
    std::size_t rounds = 20;
    double load = 20e6;
    std::size_t copied_megabytes = 1500;
};

struct Pauses {
    std::vector<double> pause, acquisition, hold;  // milliseconds
    std::vector<double> memory;                    // megabytes read within the stop
    std::vector<hot_backup::Timestamp> instants;
    std::uint64_t attempts = 0;
};

nlohmann::json backed_up(const Broker& broker, const std::vector<std::string>& arguments = {}) {
    const auto repository = broker.directory() / "bench";
    const auto result = harness::create_backup(broker, repository, arguments);
    bench::check(result, "the backup");
    std::filesystem::remove_all(repository);
    return result.line("summary");
}

Pauses measure(const Broker& broker, std::size_t rounds) {
    Pauses pauses;
    for (std::size_t round = 0; round < rounds; ++round) {
        const auto summary = backed_up(broker);
        const auto& cut = summary.at("cut");
        const auto milliseconds = [&](const char* key) { return cut.at(key).get<double>() / 1e3; };
        pauses.pause.push_back(milliseconds("pause_us"));
        pauses.acquisition.push_back(milliseconds("acquisition_us"));
        pauses.hold.push_back(milliseconds("hold_us"));
        pauses.memory.push_back(cut.at("memory_bytes").get<double>() / 1e6);
        pauses.attempts += cut.at("attempts").get<std::uint64_t>();
        pauses.instants.push_back(
            *hot_backup::parse_timestamp(summary.at("instant").get<std::string>()));
        std::this_thread::sleep_for(1s);  // so that most confirms are away from any stop
    }
    return pauses;
}

bool print(const std::string& name, const Pauses& pauses) {
    using bench::median;
    using bench::percentile;
    const bool kept = median(pauses.pause) <= 10 && percentile(pauses.pause, 0.95) <= 50;
    std::printf("  %-28s %7.1f %7.1f %7.1f   %7.1f %7.1f   %6.2f   %5.1f   %s\n", name.c_str(),
                median(pauses.pause), percentile(pauses.pause, 0.95), percentile(pauses.pause, 1),
                median(pauses.acquisition), median(pauses.hold), median(pauses.memory),
                static_cast<double>(pauses.attempts) / static_cast<double>(pauses.pause.size()),
                kept ? "kept" : "BROKEN");
    std::fflush(stdout);
    return kept;
}

void print_head() {
    std::printf("  %-28s %7s %7s %7s   %7s %7s   %6s   %5s\n", "", "median", "p95", "max",
                "acquire", "hold", "MB", "stops");
}

void print_latencies(const char* name, const std::vector<double>& seconds) {
    std::printf("    %-26s p50 %7.1f   p99 %7.1f   max %7.1f   (%zu confirms)\n", name,
                1e3 * bench::percentile(seconds, 0.5), 1e3 * bench::percentile(seconds, 0.99),
                1e3 * bench::percentile(seconds, 1), seconds.size());
}

// Confirms within half a second of a stop, and all others.
void compare_latencies(const std::vector<bench::Confirmed>& confirmed,
                       const std::vector<hot_backup::Timestamp>& instants) {
    std::vector<double> near;
    std::vector<double> away;
    for (const auto& [at, latency] : confirmed) {
        const bool is_near = std::ranges::any_of(
            instants, [&](auto instant) { return std::chrono::abs(at - instant) < 500ms; });
        (is_near ? near : away).push_back(latency);
    }
    print_latencies("confirms near a stop, ms", near);
    print_latencies("confirms away from it, ms", away);
}

bool by_queues(const Options& options) {
    std::printf("\nPause by queues, ms (%zu backups each)\n", options.rounds);
    print_head();
    bool kept = true;
    Broker broker;
    std::size_t declared = 0;
    for (const auto queues : options.queues) {
        harness::AmqpClient client(broker.amqp_port());
        client.send_without_waiting();
        for (; declared < queues; ++declared) {
            client.declare_queue("queue." + std::to_string(declared));
        }
        client.sync();
        kept &= print(std::to_string(queues) + " queues, idle", measure(broker, options.rounds));
        bench::Load load(broker, {.bytes_per_second = options.load});
        const auto pauses = measure(broker, options.rounds);
        const auto confirmed = load.finish();
        kept &= print(std::to_string(queues) + " queues, load", pauses);
        compare_latencies(confirmed, pauses.instants);
    }
    return kept;
}

bool by_messages(const Options& options) {
    std::printf("\nPause by messages (100 bytes, one classic queue, idle), ms\n");
    print_head();
    bool kept = true;
    Broker broker;
    std::size_t published = 0;
    std::vector<double> medians;
    for (const auto messages : options.messages) {
        bench::fill(broker, "messages", "classic", messages - published, 100);
        published = messages;
        const auto pauses = measure(broker, options.rounds);
        kept &= print(std::to_string(messages) + " messages", pauses);
        medians.push_back(bench::median(pauses.pause));
    }
    // Noise of milliseconds is allowed, growth with the messages is not.
    const bool independent = medians.back() <= 2 * medians.front() + 5;
    std::printf("  independent of the number of messages: %s\n", independent ? "kept" : "BROKEN");
    return kept && independent;
}

double throughput(const Broker& broker, const std::function<void()>& meanwhile) {
    bench::Load load(broker, {.bytes_per_second = 0});
    double time = bench::seconds(meanwhile);
    const auto confirmed = load.finish();
    return static_cast<double>(confirmed.size()) * 10'000 / time / 1e6;
}

void print_throughput(const Options& options) {
    std::printf("\nThroughput of two publishers with confirms (10 kB), MB/s, over %zu MB\n",
                options.copied_megabytes);
    Broker broker;
    bench::fill(broker, "ballast", "classic", options.copied_megabytes * 10, 100'000);
    const double alone = throughput(broker, [] { std::this_thread::sleep_for(10s); });
    const double unlimited = throughput(broker, [&] { backed_up(broker); });
    const double limited = throughput(broker, [&] { backed_up(broker, {"--rate-limit", "50MB"}); });
    std::printf(
        "  without a backup %.1f   while it copies %.1f (%.0f %%)   at 50 MB/s %.1f "
        "(%.0f %%)\n",
        alone, unlimited, 100 * unlimited / alone, limited, 100 * limited / alone);
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    CLI::App app("Measures the pause of a backup and what clients feel of it");
    app.add_option("--queues", options.queues)->capture_default_str();
    app.add_option("--messages", options.messages)->capture_default_str();
    app.add_option("--rounds", options.rounds)->capture_default_str();
    app.add_option("--load", options.load, "bytes a second")->capture_default_str();
    app.add_option("--copied", options.copied_megabytes, "megabytes")->capture_default_str();
    CLI11_PARSE(app, argc, argv);
    try {
        bool kept = by_queues(options);
        kept &= by_messages(options);
        print_throughput(options);
        return kept ? 0 : 1;
    } catch (const std::exception& error) {
        std::cerr << "bench_pause: " << error.what() << '\n';
        return 2;
    }
}
