#include "tests/capture/mutator_process.hpp"

#include "erlang_port/error.hpp"
#include "tests/harness/wait.hpp"

#include <chrono>
#include <csignal>
#include <thread>

namespace capture_test {

namespace {

using Clock = std::chrono::steady_clock;
using hot_backup::Error;
using hot_backup::ErrorCode;

constexpr std::chrono::seconds patience{60};

std::filesystem::path make_place(const std::filesystem::path& parent, std::uint64_t seed) {
    auto place = parent / std::to_string(seed);
    std::filesystem::create_directories(place);
    return place;
}

// The state of a thread by its line in /proc: the letter after the name, which may have any
// character in it.
char state_of(const std::filesystem::path& task) {
    const std::string line = harness::read_file(task / "stat");
    const std::size_t name_end = line.rfind(')');
    return name_end == std::string::npos || name_end + 2 >= line.size() ? '?' : line[name_end + 2];
}

}  // namespace

MutatorProcess::MutatorProcess(const std::filesystem::path& parent, std::uint64_t seed,
                               std::uint64_t tiny_files)
    : place_(make_place(parent, seed)),
      control_(place_ / "control"),
      process_((control_->pause.store(mutator::idle), HOT_BACKUP_CAPTURE_MUTATOR),
               {place_.string(), (place_ / "control").string(), std::to_string(seed),
                std::to_string(tiny_files)}) {
    harness::wait_for("the mutator's first tree", patience, [&] {
        check_alive();
        return control_->ready.load() == 1;
    });
}

void MutatorProcess::check_alive() {
    if (!process_.running()) {
        throw Error(ErrorCode::failed, "the mutator ended: " + process_.error_output());
    }
}

// Waits in far shorter steps than a test usually does: a round takes some milliseconds.
void MutatorProcess::wait_for_mutations(std::uint64_t number) {
    const std::uint64_t enough = control_->mutations.load() + number;
    const auto deadline = Clock::now() + patience;
    while (control_->mutations.load() < enough) {
        if (Clock::now() > deadline) {
            check_alive();
            throw Error(ErrorCode::failed, "the mutator makes no mutations");
        }
        std::this_thread::sleep_for(std::chrono::microseconds(20));
    }
}

bool MutatorProcess::is_stopped() const {
    const std::filesystem::path tasks =
        std::filesystem::path("/proc") / std::to_string(process_.pid()) / "task";
    for (const auto& task : std::filesystem::directory_iterator(tasks)) {
        if (state_of(task.path()) != 'T') {
            return false;
        }
    }
    return true;
}

void MutatorProcess::stop() {
    if (stopped_) {
        return;
    }
    process_.signal(SIGSTOP);
    const auto deadline = Clock::now() + patience;
    while (!is_stopped()) {
        if (Clock::now() > deadline) {
            check_alive();
            throw Error(ErrorCode::failed, "the mutator does not stop");
        }
        std::this_thread::yield();
    }
    stopped_ = true;
}

void MutatorProcess::resume() {
    process_.signal(SIGCONT);
    stopped_ = false;
}

mutator::BehaviourCounts MutatorProcess::counts() const {
    mutator::BehaviourCounts counts{};
    for (std::size_t index = 0; index < counts.size(); ++index) {
        counts.at(index) = control_->counts.at(index).load();
    }
    return counts;
}

}  // namespace capture_test
