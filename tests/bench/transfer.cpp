// Measures how fast messages of 1 KiB go from a broker (that stands for one booted from a backup)
// into queues of another one, confirmed: `restore ID --into NODE` without the boot. Beside it, in
// turn and on the same target, an ordinary publisher with confirms and as large a window.
//
// The processor time that each process takes for a message says where the time goes, also when
// there is other work on the machine.
//
// Ends with 1 when a promise is broken: at least 20,000 messages a second, or, where the target's
// queue does not take so many from a publisher that has the machine for itself, four fifths of what
// that one reaches (the source works on the same processors); and for each message not more of the
// target's processor time than a publisher takes.
#include "tests/bench/statistics.hpp"
#include "tests/transfer/two_brokers.hpp"

#include <CLI/CLI.hpp>

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iostream>
#include <iterator>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using namespace transfer_tests;
using Clock = std::chrono::steady_clock;

struct Options {
    std::size_t messages = 200'000;
    int rounds = 3;
    std::vector<std::string> types{"classic", "quorum", "stream"};
};

constexpr double promised = 20'000;
constexpr double part_of_publisher = 0.8;
// Of the target's processor time, allowing for what two measurements differ by.
constexpr double times_publisher = 1.15;
// Messages that are unconfirmed at a time, as in a delivery of the plugin.
constexpr std::size_t window = 16'000;

// Seconds of processor time that a process has taken so far, by /proc/PID/stat.
double processor_time(pid_t process) {
    std::ifstream file("/proc/" + std::to_string(process) + "/stat");
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    std::istringstream fields(text.substr(text.rfind(')') + 2));
    std::string skipped;
    for (int n = 0; n < 11; ++n) {
        fields >> skipped;
    }
    double user = 0;
    double system = 0;
    fields >> user >> system;
    return (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

struct Result {
    double rate = 0;  // messages a second
    // Microseconds of processor time for a message.
    double source = 0;
    double program = 0;
    double target = 0;
};

// From its construction to its end.
class Measurement {
public:
    Result end(std::size_t messages) const {
        const auto count = static_cast<double>(messages);
        const std::chrono::duration<double> time = Clock::now() - begin_;
        const auto now = processor_times();
        return {count / time.count(), (now.source - times_.source) / count,
                (now.program - times_.program) / count, (now.target - times_.target) / count};
    }

private:
    static Result processor_times() {
        return {0, processor_time(source_broker().pid()) * 1e6, processor_time(::getpid()) * 1e6,
                processor_time(target_broker().pid()) * 1e6};
    }

    Result times_ = processor_times();
    Clock::time_point begin_ = Clock::now();
};

void publish(const harness::Broker& broker, const std::string& queue, std::size_t messages) {
    harness::AmqpClient client(broker.amqp_port());
    const std::string body(1024, 'x');
    std::size_t sent = 0;
    std::size_t confirmed = 0;
    const auto hear = [&](std::chrono::milliseconds patience) {
        const auto event = client.next_event(patience);
        if (event) {
            const auto& confirm = std::get<harness::Confirm>(*event);
            // Single confirms are counted, "multiple" ones name all before them.
            confirmed = confirm.multiple ? std::max<std::size_t>(confirmed + 1, confirm.number)
                                         : confirmed + 1;
        }
        return event.has_value();
    };
    while (confirmed < messages) {
        if (sent < messages && sent - confirmed < window) {
            sent = client.send("", queue, body);
            if (sent % 100 == 0) {
                while (hear(std::chrono::milliseconds(0))) {
                }
            }
        } else if (!hear(std::chrono::seconds(30))) {
            throw std::runtime_error(queue + " confirms nothing");
        }
    }
}

void declare_anew(const harness::Broker& broker, const std::string& queue,
                  const std::string& type) {
    harness::AmqpClient client(broker.amqp_port());
    client.delete_queue(queue);
    client.declare_queue(queue, of_type(type));
}

Result measure_publisher(const std::string& type, std::size_t messages) {
    const std::string queue = "bench.published." + type;
    declare_anew(target_broker(), queue, type);
    const Measurement measurement;
    publish(target_broker(), queue, messages);
    const auto result = measurement.end(messages);
    harness::AmqpClient(target_broker().amqp_port()).delete_queue(queue);
    return result;
}

Result measure_transfer(const std::string& type, std::size_t messages) {
    const std::string queue = "bench." + type;
    declare_anew(source_broker(), queue, type);
    publish(source_broker(), queue, messages);
    std::optional<Measurement> measurement;
    hot_backup::TransferCallbacks callbacks;
    callbacks.progress = [&](const auto&, std::uint64_t done, auto) {
        if (done == 1) {
            measurement.emplace();
        }
    };
    transfer({"//" + queue}, {.callbacks = callbacks});
    const auto result = measurement.value().end(messages);
    harness::AmqpClient(target_broker().amqp_port()).delete_queue(queue);
    return result;
}

void print(const std::string& type, const std::string& what, const Result& result) {
    std::printf(
        "%-8s %-22s %8.0f messages/s; µs of a processor for each: source %5.1f, "
        "program %5.1f, target %5.1f\n",
        type.c_str(), what.c_str(), result.rate, result.source, result.program, result.target);
    std::fflush(stdout);
}

Result median_of(const std::vector<Result>& results) {
    const auto median = [&](double Result::*part) {
        std::vector<double> values;
        std::ranges::transform(results, std::back_inserter(values), part);
        return bench::median(values);
    };
    return {median(&Result::rate), median(&Result::source), median(&Result::program),
            median(&Result::target)};
}

bool is_kept(const Result& transfer, const Result& publisher) {
    bool kept = true;
    if (transfer.rate < promised) {
        std::printf("%s: %.0f messages a second; a publisher reaches %.0f\n",
                    transfer.rate < part_of_publisher * publisher.rate ? "BROKEN" : "not reached",
                    promised, publisher.rate);
        kept = transfer.rate >= part_of_publisher * publisher.rate;
    }
    if (transfer.target > times_publisher * publisher.target) {
        std::printf("BROKEN: it costs the target more than a publisher does\n");
        kept = false;
    }
    return kept;
}

bool measure(const std::string& type, const Options& options) {
    std::vector<Result> transfers;
    std::vector<Result> publishers;
    for (int round = 0; round < options.rounds; ++round) {
        transfers.push_back(measure_transfer(type, options.messages));
        print(type, "transfer", transfers.back());
        publishers.push_back(measure_publisher(type, options.messages));
        print(type, "publisher", publishers.back());
    }
    const auto transfer = median_of(transfers);
    const auto publisher = median_of(publishers);
    print(type, "transfer, median", transfer);
    print(type, "publisher, median", publisher);
    return is_kept(transfer, publisher);
}

int run(const Options& options) {
    bool kept = true;
    for (const auto& type : options.types) {
        kept = measure(type, options) && kept;
    }
    return kept ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    CLI::App app("Measures how fast messages get into a live broker");
    app.add_option("--messages", options.messages)->capture_default_str();
    app.add_option("--rounds", options.rounds)->capture_default_str();
    app.add_option("--type", options.types)->capture_default_str();
    CLI11_PARSE(app, argc, argv);
    try {
        return run(options);
    } catch (const std::exception& error) {
        std::cerr << "bench_transfer: " << error.what() << '\n';
        return 2;
    }
}
