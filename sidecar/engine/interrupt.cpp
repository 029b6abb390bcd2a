#include "sidecar/engine/interrupt.hpp"

#include "erlang_port/error.hpp"

#include <atomic>
#include <csignal>
#include <string>

namespace hot_backup {
namespace {

std::atomic<int> received_signal{0};
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler may only touch it then");

void remember(int signal) {
    received_signal.store(signal);
}

}  // namespace

void catch_signals() {
    struct sigaction action {};
    action.sa_handler = remember;
    sigemptyset(&action.sa_mask);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
        struct sigaction before {};
        sigaction(signal, nullptr, &before);
        if (before.sa_handler != SIG_IGN) {
            sigaction(signal, &action, nullptr);
        }
    }
    std::signal(SIGPIPE, SIG_IGN);
}

void throw_if_interrupted() {
    if (received_signal.load() != 0) {
        throw Error(ErrorCode::interrupted,
                    "interrupted by signal " + std::to_string(received_signal.load()),
                    "Run the command again.");
    }
}

}  // namespace hot_backup
