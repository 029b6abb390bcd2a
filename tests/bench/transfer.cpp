// Measures how fast messages of 1 KiB go from a broker (that stands for one booted from a backup)
// into queues of another one, confirmed: `restore ID --into NODE` without the boot.
//
// Ends with 1 when a promise is broken: at least 20,000 messages a second into a classic and into a
// quorum queue.
#include "tests/bench/statistics.hpp"
#include "tests/transfer/two_brokers.hpp"

#include <CLI/CLI.hpp>

#include <cstdio>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

namespace {

using namespace transfer_tests;

struct Options {
    std::size_t messages = 200'000;
    int rounds = 3;
};

constexpr double promised = 20'000;

void fill_with_kilobytes(const std::string& queue, const std::string& type, std::size_t messages) {
    harness::AmqpClient client(source_broker().amqp_port());
    client.delete_queue(queue);
    client.declare_queue(queue, of_type(type));
    const std::string body(1024, 'x');
    // In portions, so that the broker's confirms need not wait in the client.
    std::size_t sent = 0;
    while (sent < messages) {
        std::size_t confirmed = 0;
        const auto portion = std::min<std::size_t>(messages - sent, 2000);
        const auto first = sent;
        for (std::size_t n = 0; n < portion; ++n) {
            sent = client.send("", queue, body);
        }
        while (confirmed < sent) {
            const auto event = client.next_event(std::chrono::seconds(30));
            const auto& confirm = std::get<harness::Confirm>(event.value());
            confirmed = confirm.multiple ? confirm.number : std::max(confirmed, first) + 1;
        }
    }
}

// Messages a second.
double measure(const std::string& type, std::size_t messages) {
    const std::string queue = "bench." + type;
    fill_with_kilobytes(queue, type, messages);
    harness::AmqpClient(target_broker().amqp_port()).delete_queue(queue);
    using Clock = std::chrono::steady_clock;
    Clock::time_point begin;
    hot_backup::TransferCallbacks callbacks;
    callbacks.progress = [&](const auto&, std::uint64_t done, auto) {
        if (done == 1) {
            begin = Clock::now();
        }
    };
    transfer({"//" + queue}, {.callbacks = callbacks});
    const std::chrono::duration<double> time = Clock::now() - begin;
    return static_cast<double>(messages) / time.count();
}

int run(const Options& options) {
    bool kept = true;
    for (const std::string type : {"classic", "quorum", "stream"}) {
        std::vector<double> rates;
        for (int round = 0; round < options.rounds; ++round) {
            rates.push_back(measure(type, options.messages));
            std::printf("%-8s round %d: %8.0f messages/s\n", type.c_str(), round + 1, rates.back());
            std::fflush(stdout);
        }
        const double rate = bench::median(rates);
        std::printf("%-8s median:  %8.0f messages/s\n", type.c_str(), rate);
        if (type != "stream" && rate < promised) {
            std::printf("BROKEN: at least %.0f messages a second\n", promised);
            kept = false;
        }
    }
    return kept ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    CLI::App app("Measures how fast messages get into a live broker");
    app.add_option("--messages", options.messages)->capture_default_str();
    app.add_option("--rounds", options.rounds)->capture_default_str();
    CLI11_PARSE(app, argc, argv);
    try {
        return run(options);
    } catch (const std::exception& error) {
        std::cerr << "bench_transfer: " << error.what() << '\n';
        return 2;
    }
}
