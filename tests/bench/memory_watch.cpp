#include "tests/bench/memory_watch.hpp"

#include "tests/bench/steps.hpp"
#include "tests/harness/cli.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <string>

namespace bench {

using namespace std::chrono_literals;

namespace {

std::int64_t resident_bytes(pid_t pid) {
    const std::string status = harness::read_file("/proc/" + std::to_string(pid) + "/status");
    const std::size_t line = status.find("VmRSS:");
    return line == std::string::npos ? 0 : std::stoll(status.substr(line + 6)) * 1024;
}

// Answers {stop, From} with the growth of the VM's memory since it was started.
constexpr auto watcher_in_vm = R"(
    Watch = fun(Self, Start, Peak) ->
        Now = erlang:memory(total),
        receive {stop, From} -> From ! {growth, max(Peak, Now) - Start}
        after 2 -> Self(Self, Start, max(Peak, Now)) end
    end,
    Start = erlang:memory(total),
    register(bench_memory_watch, spawn(fun() -> Watch(Watch, Start, Start) end)).)";

constexpr auto growth_in_vm = R"(
    bench_memory_watch ! {stop, self()},
    receive {growth, Bytes} -> Bytes end.)";

}  // namespace

MemoryWatch::MemoryWatch(const harness::Broker& broker) : broker_(broker) {
    broker.eval(watcher_in_vm);
    resident_at_start_ = resident_peak_ = resident_bytes(broker.pid());
    sampler_ = std::jthread([this, pid = broker.pid()](std::stop_token stop) {
        while (!stop.stop_requested()) {
            resident_peak_ = std::max(resident_peak_, resident_bytes(pid));
            std::this_thread::sleep_for(5ms);
        }
    });
}

Growth MemoryWatch::finish() {
    sampler_.request_stop();
    sampler_.join();
    const erlang::Term growth = broker_.eval(growth_in_vm);
    return {*growth.as<std::int64_t>(), resident_peak_ - resident_at_start_};
}

void back_up_slowly(const harness::Broker& broker, const std::filesystem::path& repository) {
    harness::Process backup(harness::cli_path(), harness::create_arguments(broker, repository),
                            {broker.client_environment()});
    while (!backup.wait_at_most(5ms)) {
        backup.signal(SIGSTOP);
        std::this_thread::sleep_for(20ms);
        backup.signal(SIGCONT);
    }
    const harness::Result& result = backup.wait();
    check(result, "the slow backup");
}

}  // namespace bench
