// A program that this process starts, and the promise that it ends with this process.
//
// The kernel kills it (PR_SET_PDEATHSIG) when the thread that started it ends, however it ends:
// kill -9 of this process leaves nothing behind. So it is started by a thread that lives as long as
// it is needed, in practice the main one. It holds for the program itself and for what the program
// becomes by exec, as RabbitMQ's scripts become the Erlang VM; what it starts in turn has to end
// with it by itself, as the VM's helpers do when their pipe closes.
//
// The one place that includes Boost.Process. One thread uses an object.
#pragma once

#include "sidecar/repository/file_system.hpp"

#include <sys/types.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace hot_backup {

// All of a program's environment: nothing of ours is passed on.
using Environment = std::map<std::string, std::string>;

struct ChildOptions {
    Path program;
    std::vector<std::string> arguments = {};
    Environment environment = {};
    Path directory = "/";  // to start in
    Path output;           // takes what it prints; standard input is empty
    int inherited = -1;    // a descriptor that it keeps open; all others are closed
};

class ChildProcess {
public:
    // Starts it in a process group of its own, at a low priority, and before all others when memory
    // runs out. Error failed when that fails.
    explicit ChildProcess(const ChildOptions& options);
    ChildProcess(const ChildProcess&) = delete;
    ChildProcess& operator=(const ChildProcess&) = delete;
    // As kill().
    ~ChildProcess();

    bool running();
    // Ends it and its group at once, and waits for the end.
    void kill() noexcept;

private:
    struct Child;
    std::unique_ptr<Child> child_;
    pid_t pid_ = -1;
};

}  // namespace hot_backup
