// The port program as it ships, with a fault of our choice within the stop: at the moment when the
// node has said that it stands still, and before anything is captured.
//
// The fault is what the file `fault` in HOME says, once: "SIGNAL PID", where PID is that of a
// process or 0 for this one.
#include "erlang_port/stdio_channel.hpp"
#include "sidecar/engine/port_program.hpp"
#include "tests/harness/temp_dir.hpp"

#include <unistd.h>
#include <csignal>

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <sstream>

namespace {

void fail() {
    const auto path = std::filesystem::path(std::getenv("HOME")) / "fault";
    std::istringstream fault(harness::read_file(path));
    int number = 0;
    pid_t process = 0;
    if (fault >> number >> process) {
        std::filesystem::remove(path);
        ::kill(process == 0 ? ::getpid() : process, number);
    }
}

bool says_stopped(const erlang::Term& message) {
    const auto* topic = message.element(1);
    return topic != nullptr && topic->is_atom("stopped");
}

class FaultyChannel final : public erlang::Channel {
public:
    void send(const erlang::Term& message, erlang::Clock::time_point deadline) override {
        channel_.send(message, deadline);
    }

    Received receive(erlang::Clock::time_point deadline) override {
        Received received = channel_.receive(deadline);
        if (received.what == Received::What::message && says_stopped(received.message)) {
            fail();
        }
        return received;
    }

private:
    erlang::StdioChannel channel_;
};

}  // namespace

int main() {
    try {
        hot_backup::run_port_program(hot_backup::posix_file_system(),
                                     std::make_unique<FaultyChannel>());
        return 0;
    } catch (const std::exception& error) {
        std::cerr << error.what() << std::endl;
        return 1;
    }
}
