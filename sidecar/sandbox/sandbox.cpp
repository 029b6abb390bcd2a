#include "sidecar/sandbox/sandbox.hpp"

#include "sidecar/repository/random_uuid.hpp"
#include "sidecar/sandbox/free_port.hpp"

#include <fstream>
#include <iterator>
#include <set>
#include <thread>

namespace hot_backup {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto poll_interval = 50ms;
constexpr auto step_timeout = 10s;

// Beyond the data: what the broker writes while it recovers.
constexpr std::uint64_t leeway = std::uint64_t{256} << 20;

SandboxPorts free_ports() {
    std::set<std::uint16_t> ports;
    while (ports.size() < 3) {
        ports.insert(free_loopback_port());
    }
    auto port = ports.begin();
    return {*port, *std::next(port), *std::next(port, 2)};
}

// A sandbox speaks IPv4, on 127.0.0.1.
void throw_unless_nameable(const std::string& node) {
    if (node.find(':') != std::string::npos) {
        throw Error(ErrorCode::failed,
                    "the node " + node +
                        " has an IPv6 address in the place of a host name, so no "
                        "sandbox can have its name",
                    "Restore it on another machine with --target-dir and start it there.");
    }
}

std::uint64_t needed_space(const Summary& backup) {
    return backup.bytes + backup.bytes / 20 + leeway;
}

std::string everything_in(const Path& directory) {
    std::set<Path> files;
    std::error_code error;
    for (std::filesystem::directory_iterator entry(directory, error), end; !error && entry != end;
         entry.increment(error)) {
        if (entry->is_regular_file(error)) {
            files.insert(entry->path());
        }
    }
    std::string text;
    for (const auto& path : files) {
        std::ifstream file(path, std::ios::binary);
        text += "==== " + path.filename().string() + "\n";
        text.append(std::istreambuf_iterator<char>(file), {});
    }
    return text;
}

}  // namespace

Sandbox::Sandbox(const RestoredNode& restored, Timestamp instant, const ScratchDirectory& scratch,
                 const SandboxOptions& options, const std::function<void()>& interrupt)
    : plan_{options.rabbitmq, options.plugins, options.preloaded, instant,
            scratch.path(),   restored,        free_ports(),      random_uuid()},
      interrupt_(interrupt ? interrupt : [] {}) {
    write_configuration(plan_);
    start(scratch);
    wait_until_serving(options.boot_timeout);
}

void Sandbox::start(const ScratchDirectory& scratch) {
    const auto environment = sandbox_environment(plan_);
    const auto child = [&](const Path& program, std::vector<std::string> arguments) {
        return ChildOptions{program,
                            std::move(arguments),
                            environment,
                            scratch.path(),
                            log_directory(plan_) / (program.filename().string() + ".output"),
                            scratch.lock()};
    };
    epmd_.emplace(child(plan_.rabbitmq.epmd,
                        {"-port", std::to_string(plan_.ports.epmd), "-address", "127.0.0.1"}));
    broker_.emplace(child(plan_.rabbitmq.server(), {}));
}

erlang::NodeOptions Sandbox::connection() const {
    erlang::NodeOptions options;
    options.node = node();
    options.cookie = plan_.cookie;
    options.loopback_port = plan_.ports.distribution;
    options.timeout = step_timeout;
    options.interrupt = interrupt_;
    return options;
}

void Sandbox::wait_until_serving(std::chrono::seconds timeout) {
    const auto deadline = Clock::now() + timeout;
    std::optional<erlang::NodeConnection> connection;
    while (!is_serving(connection)) {
        interrupt_();
        throw_if_ended();
        if (Clock::now() >= deadline) {
            throw Error(ErrorCode::failed,
                        "the sandbox broker of " + node() + " did not boot within " +
                            std::to_string(timeout.count()) + " s",
                        "Large stores take minutes to recover: allow more with --boot-timeout.");
        }
        std::this_thread::sleep_for(poll_interval);
    }
}

// What cannot be reached yet, or does not know the function yet, does not serve yet.
bool Sandbox::is_serving(std::optional<erlang::NodeConnection>& connection) {
    try {
        if (!connection) {
            connection.emplace(this->connection());
        }
        return connection->rpc("rabbit", "is_running", {}, step_timeout).is_atom("true");
    } catch (const Error& error) {
        if (error.code() != ErrorCode::unreachable) {
            throw;
        }
        connection.reset();
        return false;
    }
}

void Sandbox::throw_if_ended() {
    if (!broker_->running()) {
        throw Error(ErrorCode::failed, "the sandbox broker of " + node() + " ended while it booted",
                    "The end of its log says why.");
    }
    if (!epmd_->running()) {
        throw Error(ErrorCode::failed,
                    "the epmd of the sandbox broker ended, which had the port " +
                        std::to_string(plan_.ports.epmd),
                    "Run the command again: another program may have taken the port.");
    }
}

BootedBackup::BootedBackup(const Repository& repository, const std::string& backup_id,
                           const Summary& summary, const SandboxOptions& options,
                           const BootCallbacks& callbacks)
    : scratch_(options.scratch_parent, needed_space(summary)) {
    throw_unless_nameable(summary.node);
    const auto begin = Clock::now();
    RestoreOptions restore;
    restore.target = scratch_.path() / "node";
    restore.durable = false;
    restored_ = restore_node(repository, backup_id, restore, callbacks);
    restore_time_ = Clock::now() - begin;
    if (callbacks.restored) {
        callbacks.restored(restored_);
    }
    const auto boot_begin = Clock::now();
    keep_log_of([&] { boot(summary, options, callbacks.interrupt); });
    boot_time_ = Clock::now() - boot_begin;
}

void BootedBackup::boot(const Summary& summary, const SandboxOptions& options,
                        const std::function<void()>& interrupt) {
    try {
        sandbox_.emplace(restored_, summary.instant, scratch_, options, interrupt);
    } catch (const Error& error) {
        if (error.code() == ErrorCode::interrupted ||
            options.rabbitmq.version == summary.rabbitmq_version) {
            throw;
        }
        throw Error(ErrorCode::failed,
                    "RabbitMQ " + options.rabbitmq.version +
                        " does not boot a backup of RabbitMQ " + summary.rabbitmq_version + ": " +
                        error.what(),
                    error.hint() +
                        " RabbitMQ upgrades only from some releases, with all their feature flags "
                        "enabled. Run this where RabbitMQ " +
                        summary.rabbitmq_version +
                        " is installed: a restore --into reaches its node over the network.");
    }
}

void BootedBackup::keep_log_of(const std::function<void()>& use) {
    try {
        use();
    } catch (const Error& error) {
        if (error.code() == ErrorCode::interrupted) {
            throw;
        }
        const auto log = scratch_.leave(everything_in(scratch_.path() / "log"));
        throw Error(error.code() == ErrorCode::unreachable ? ErrorCode::failed : error.code(),
                    error.what(),
                    error.hint() + (error.hint().empty() ? "" : " ") +
                        "The log of the sandbox broker is kept in " + log.string() + ".");
    }
}

}  // namespace hot_backup
