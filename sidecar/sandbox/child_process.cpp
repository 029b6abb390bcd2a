#include "sidecar/sandbox/child_process.hpp"

#include "sidecar/engine/oom_score.hpp"

#include <boost/process/args.hpp>
#include <boost/process/child.hpp>
#include <boost/process/env.hpp>
#include <boost/process/environment.hpp>
#include <boost/process/exe.hpp>
#include <boost/process/extend.hpp>
#include <boost/process/io.hpp>
#include <boost/process/start_dir.hpp>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

namespace bp = boost::process;

namespace hot_backup {

struct ChildProcess::Child {
    bp::child process;
};

namespace {

// ioprio_set(2) has no wrapper: class "best effort" (2), at its lowest level (7).
constexpr int io_priority_of_process = 1;
constexpr int lowest_io_priority = 2 << 13 | 7;

// Runs in the child between fork and exec: system calls only.
struct Confined : bp::extend::handler {
    explicit Confined(int descriptor) : inherited(descriptor) {}

    template <class Executor>
    void on_exec_setup(Executor&) const {
        ::setpgid(0, 0);
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() != parent) {
            ::_exit(127);  // the parent died before the kernel was told
        }
        ::setpriority(PRIO_PROCESS, 0, 10);
        ::syscall(SYS_ioprio_set, io_priority_of_process, 0, lowest_io_priority);
        offer_to_oom_killer();
        // At exec: until then Boost needs its pipe.
        ::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
        if (inherited >= 0) {
            ::fcntl(inherited, F_SETFD, 0);
        }
        // Signals that this program handles or ignores are for the child what they are by default.
        std::signal(SIGPIPE, SIG_DFL);
        sigset_t none;
        sigemptyset(&none);
        ::sigprocmask(SIG_SETMASK, &none, nullptr);
    }

    pid_t parent = ::getpid();
    int inherited;
};

bp::environment environment_of(const Environment& variables) {
    bp::environment environment;
    for (const auto& [name, value] : variables) {
        environment[name] = value;
    }
    return environment;
}

}  // namespace

ChildProcess::ChildProcess(const ChildOptions& options) : child_(std::make_unique<Child>()) {
    try {
        child_->process =
            bp::child(bp::exe = options.program.string(), bp::args = options.arguments,
                      bp::env = environment_of(options.environment),
                      bp::start_dir = options.directory.string(),
                      bp::std_in<bp::null, (bp::std_out & bp::std_err)> options.output.string(),
                      Confined(options.inherited));
    } catch (const bp::process_error& error) {
        throw Error(ErrorCode::failed,
                    "cannot start " + options.program.string() + ": " + error.code().message(),
                    "Check that it is there and may be run.");
    }
    pid_ = child_->process.id();
}

ChildProcess::~ChildProcess() {
    kill();
}

bool ChildProcess::running() {
    std::error_code error;
    return child_->process.running(error) && !error;
}

void ChildProcess::kill() noexcept {
    if (!running()) {
        return;
    }
    // Until it is reaped, its number cannot belong to another process.
    ::kill(-pid_, SIGKILL);
    ::kill(pid_, SIGKILL);
    std::error_code error;
    child_->process.wait(error);
}

}  // namespace hot_backup
