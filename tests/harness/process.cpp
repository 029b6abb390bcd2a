#include "tests/harness/process.hpp"

#include "erlang_port/error.hpp"

#include <boost/process.hpp>
#include <boost/process/extend.hpp>

#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <csignal>

extern "C" {  // which glibc 2.36 forgot in this header
#include <sys/pidfd.h>
}

namespace bp = boost::process;

namespace harness {

using hot_backup::Error;
using hot_backup::ErrorCode;

// Boost's child is only the handle; the end is awaited with a pidfd and wait4(), which knows
// deadlines and memory.
struct Process::Child {
    bp::child process;
    int pidfd = -1;

    ~Child() {
        if (pidfd >= 0) {
            close(pidfd);
        }
    }
};

namespace {

// Runs in the child between fork and exec.
struct EndWithParent : bp::extend::handler {
    template <class Executor>
    void on_exec_setup(Executor&) const {
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) {
            _exit(127);
        }
        // At exec; until then Boost needs its pipe.
        close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
        // A tool that waits for its signals with sigwait() blocks them; its children shall not.
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, nullptr);
    }

    pid_t parent = getpid();
};

bp::environment environment_of(const Environment& changes) {
    bp::environment environment = boost::this_process::environment();
    for (const auto& [name, value] : changes) {
        if (value) {
            environment[name] = *value;
        } else {
            environment.erase(name);
        }
    }
    return environment;
}

boost::filesystem::path find(const std::filesystem::path& program) {
    if (program.has_parent_path()) {
        return program.string();
    }
    boost::filesystem::path found = bp::search_path(program.string());
    if (found.empty()) {
        throw Error(ErrorCode::failed, "no program " + program.string() + " in PATH");
    }
    return found;
}

// The program that is started, with its arguments.
std::vector<std::string> command_line(const std::filesystem::path& program,
                                      const std::vector<std::string>& arguments,
                                      const std::vector<std::string>& launcher) {
    std::vector<std::string> words = launcher;
    words.push_back(program);
    words.insert(words.end(), arguments.begin(), arguments.end());
    return words;
}

}  // namespace

Process::Process(const std::filesystem::path& program, const std::vector<std::string>& arguments,
                 const ProcessOptions& options)
    : name_(program.filename().string()),
      started_(std::chrono::steady_clock::now()),
      child_(std::make_unique<Child>()) {
    write_file(files_ / "in", options.input);
    const auto words = command_line(program, arguments, options.launcher);
    const std::string directory =
        options.directory.empty() ? std::filesystem::current_path() : options.directory;
    try {
        child_->process =
            bp::child(bp::exe = find(words.front()),
                      bp::args = std::vector<std::string>(std::next(words.begin()), words.end()),
                      bp::env = environment_of(options.environment), bp::start_dir = directory,
                      bp::std_in<(files_ / "in").string(), bp::std_out>(files_ / "out").string(),
                      bp::std_err > (files_ / "err").string(), EndWithParent());
    } catch (const bp::process_error& error) {
        throw Error(ErrorCode::failed, "cannot start " + program.string() + ": " + error.what());
    }
    child_->pidfd = pidfd_open(pid(), 0);
    if (child_->pidfd < 0) {
        throw Error(ErrorCode::failed, "cannot watch process " + std::to_string(pid()));
    }
}

Process::~Process() {
    if (!result_) {
        // The broker's port programs have sessions of their own, so that killing the group alone
        // would miss them.
        const std::vector<pid_t> others = descendants(pid());
        signal(SIGKILL);
        for (const pid_t other : others) {
            kill(other, SIGKILL);
        }
        wait_at_most(std::chrono::seconds(60));
    }
}

pid_t Process::pid() const noexcept {
    return child_->process.id();
}

void Process::signal(int number) {
    pidfd_send_signal(child_->pidfd, number, nullptr, 0);
}

bool Process::wait_at_most(std::chrono::milliseconds timeout) {
    if (result_) {
        return true;
    }
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    for (;;) {
        const auto left = std::max(std::chrono::ceil<std::chrono::milliseconds>(
                                       deadline - std::chrono::steady_clock::now()),
                                   std::chrono::milliseconds(0));
        pollfd wanted{child_->pidfd, POLLIN, 0};
        const int ready = poll(&wanted, 1, static_cast<int>(left.count()));
        if (ready > 0) {
            reap();
            return true;
        }
        if (ready == 0 && std::chrono::steady_clock::now() >= deadline) {
            return false;
        }
    }
}

void Process::reap() {
    const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - started_;
    // While its leader is unreaped the group's number cannot belong to anybody else.
    kill(-pid(), SIGKILL);
    int status = 0;
    rusage usage{};
    wait4(pid(), &status, 0, &usage);
    child_->process.detach();
    result_.emplace();
    result_->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    result_->output = output();
    result_->error_output = error_output();
    result_->peak_rss_kib = usage.ru_maxrss;
    result_->wall = wall;
}

const Result& Process::wait(std::chrono::milliseconds timeout) {
    if (!wait_at_most(timeout)) {
        throw Error(ErrorCode::failed, name_ + " did not end within " +
                                           std::to_string(timeout.count()) + " ms; it printed:\n" +
                                           output() + error_output());
    }
    return *result_;
}

std::string Process::output() const {
    return read_file(files_ / "out");
}

std::string Process::error_output() const {
    return read_file(files_ / "err");
}

std::string program_name(pid_t pid) {
    std::string name = read_file("/proc/" + std::to_string(pid) + "/comm");
    return name.substr(0, name.find('\n'));
}

std::vector<pid_t> descendants(pid_t ancestor) {
    std::multimap<pid_t, pid_t> children;  // by parent
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
        const std::string name = entry.path().filename();
        if (name.find_first_not_of("0123456789") != std::string::npos) {
            continue;
        }
        const std::string stat = read_file(entry.path() / "stat");
        // PID (NAME) STATE PPID ...: the name may hold anything, even a parenthesis.
        const std::size_t end_of_name = stat.rfind(')');
        if (end_of_name != std::string::npos) {
            children.emplace(std::stoi(stat.substr(end_of_name + 4)), std::stoi(name));
        }
    }
    std::vector<pid_t> found{ancestor};
    for (std::size_t n = 0; n < found.size(); ++n) {
        const auto [begin, end] = children.equal_range(found[n]);
        for (auto child = begin; child != end; ++child) {
            found.push_back(child->second);
        }
    }
    found.erase(found.begin());
    return found;
}

Result run(const std::filesystem::path& program, const std::vector<std::string>& arguments,
           const ProcessOptions& options, std::chrono::milliseconds timeout) {
    return Process(program, arguments, options).wait(timeout);
}

}  // namespace harness
