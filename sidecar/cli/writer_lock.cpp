#include "sidecar/cli/writer_lock.hpp"

#include "sidecar/engine/interrupt.hpp"

#include <algorithm>
#include <thread>
#include <utility>

namespace hot_backup {
namespace {

// Until it is over or a signal comes.
void pause_for(std::chrono::milliseconds time) {
    constexpr std::chrono::milliseconds step{100};
    const auto end = std::chrono::steady_clock::now() + time;
    for (auto now = std::chrono::steady_clock::now(); now < end;
         now = std::chrono::steady_clock::now()) {
        throw_if_interrupted();
        std::this_thread::sleep_for(std::min<std::chrono::steady_clock::duration>(step, end - now));
    }
}

}  // namespace

std::unique_ptr<Lock> lock_for_writing(const Repository& repository, std::string_view command,
                                       std::chrono::seconds patience, Output& output) {
    bool told = false;
    return wait_for_lock(repository.file_system(), repository.directory(), command, patience,
                         [&](std::chrono::milliseconds pause, const Error& locked) {
                             if (!std::exchange(told, true)) {
                                 output.warning("waiting: " + std::string(locked.what()));
                             }
                             output.progress("waiting for the repository", 0, 0);
                             pause_for(pause);
                         });
}

}  // namespace hot_backup
