// An engine that fails within the stop, at the moment when nothing of the node runs. Stands in for
// the port program, or attaches as a C node:
//
//     faulty_engine port                                  (the plugin starts it; waits for an
//     order) faulty_engine attach NODE COOKIE
//
// What it does within the stop is named by the file that HOT_BACKUP_TEST_FAULT names: kill, stop,
// exit, silence, garbage, refuse.
#include "erlang_port/node_channel.hpp"
#include "erlang_port/stdio_channel.hpp"
#include "sidecar/engine/broker.hpp"
#include "tests/harness/temp_dir.hpp"

#include <unistd.h>
#include <csignal>

#include <cstdlib>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

namespace {

using namespace std::chrono_literals;

bool fail(const std::string& fault, int output) {
    if (fault == "kill") {
        ::kill(::getpid(), SIGKILL);
    } else if (fault == "stop") {
        ::kill(::getpid(), SIGSTOP);
    } else if (fault == "exit") {
        std::_Exit(1);
    } else if (fault == "garbage" && output >= 0) {
        constexpr std::string_view garbage = "\x00\x00\x00\x05 this is no term of Erlang";
        [[maybe_unused]] const auto written = ::write(output, garbage.data(), garbage.size());
    } else if (fault == "silence") {
        std::this_thread::sleep_for(3s);
    }
    return fault != "refuse";
}

int serve(std::unique_ptr<erlang::Channel> channel, bool ordered, int output) {
    hot_backup::Broker broker(std::move(channel));
    std::optional<std::uint64_t> number;
    if (ordered) {
        const auto order = broker.next_order();
        if (!order) {
            return 0;
        }
        number = order->job;
    }
    const auto fault = harness::read_file(std::getenv("HOT_BACKUP_TEST_FAULT"));
    const auto job = broker.begin_job("/nowhere", number);
    broker.begin_checkpoint();
    const auto stop = broker.stop(job.max_pause, [&] { return fail(fault, output); });
    std::cerr << "outcome " << static_cast<int>(stop.outcome) << std::endl;
    throw hot_backup::Error(hot_backup::ErrorCode::failed, "the faulty engine ends here");
}

}  // namespace

int main(int argc, char** argv) {
    try {
        if (argc == 2 && argv[1] == std::string("port")) {
            return serve(std::make_unique<erlang::StdioChannel>(STDIN_FILENO, STDOUT_FILENO), true,
                         STDOUT_FILENO);
        }
        if (argc == 4 && argv[1] == std::string("attach")) {
            erlang::NodeOptions node;
            node.node = argv[2];
            node.cookie = argv[3];
            return serve(std::make_unique<erlang::NodeChannel>(node), false, -1);
        }
    } catch (const hot_backup::Error& error) {
        std::cerr << error.what() << std::endl;
        return 1;
    }
    std::cerr << "usage: faulty_engine port | attach NODE COOKIE" << std::endl;
    return 2;
}
