// Programs that tests start, and the promise that they end with the test.
//
// A Process and what it has started is killed when the object is destroyed, and by the kernel when
// the thread that started it ends, however it ends: a test killed by ctest's timeout leaves no
// broker behind. So: start long-lived programs on the main thread. No two threads use one Process
// at a time, apart from pid() and signal().
#pragma once

#include "tests/harness/temp_dir.hpp"

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace harness {

// Variables to set on top of the test's own environment; no value removes the variable.
using Environment = std::map<std::string, std::optional<std::string>>;

struct ProcessOptions {
    Environment environment = {};
    std::filesystem::path directory = {};  // to start in; empty: the test's own
    std::string input = {};  // what the program reads from standard input before end of file
    // A command that becomes the one behind it, with its arguments, in another system's files:
    // tests/matrix/in_root.sh. The program is named with its path there.
    std::vector<std::string> launcher = {};
};

struct Result {
    int exit_code = 0;  // 128 + signal when a signal ended the program, as a shell has it
    std::string output;
    std::string error_output;
    // The kernel counts what the starting process had resident at the fork too: more than the
    // truth for programs smaller than their test.
    long peak_rss_kib = 0;
    std::chrono::duration<double> wall{};
};

class Process {
public:
    // Starts `program` (looked up in PATH when it is a bare name). Throws Error when that fails.
    Process(const std::filesystem::path& program, const std::vector<std::string>& arguments,
            const ProcessOptions& options = {});
    Process(const Process&) = delete;
    Process& operator=(const Process&) = delete;
    ~Process();

    pid_t pid() const noexcept;
    bool running() { return !wait_at_most(std::chrono::milliseconds(0)); }

    // To the program itself, not to its group. Nothing happens when it has ended.
    void signal(int number);

    // Whether it ended within that time.
    bool wait_at_most(std::chrono::milliseconds timeout);
    // Waits for its end. Throws Error with what it printed when the time is over; it keeps running
    // then.
    const Result& wait(std::chrono::milliseconds timeout = std::chrono::seconds(60));

    // What it has printed so far.
    std::string output() const;
    std::string error_output() const;

private:
    struct Child;
    void reap();

    TempDir files_;
    std::string name_;
    std::chrono::steady_clock::time_point started_;
    std::unique_ptr<Child> child_;
    std::optional<Result> result_;
};

// The processes that `ancestor` has started, and those that they have started, and so on.
std::vector<pid_t> descendants(pid_t ancestor);

// The name of a process's program (cut after 15 bytes by the kernel); empty when there is no such
// process.
std::string program_name(pid_t pid);

// Starts a program, waits for its end and returns what came of it.
Result run(const std::filesystem::path& program, const std::vector<std::string>& arguments,
           const ProcessOptions& options = {},
           std::chrono::milliseconds timeout = std::chrono::seconds(60));

}  // namespace harness
