#include "sidecar/sandbox/sandbox.hpp"

#include "sidecar/repository/random_uuid.hpp"
#include "sidecar/sandbox/free_port.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <set>
#include <thread>
#include <utility>

namespace hot_backup {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto poll_interval = 50ms;
constexpr auto step_timeout = 10s;

// Beyond the data: what the broker writes while it recovers.
constexpr std::uint64_t leeway = std::uint64_t{256} << 20;

// So many different ones.
std::vector<std::uint16_t> free_ports(std::size_t count) {
    std::set<std::uint16_t> ports;
    while (ports.size() < count) {
        ports.insert(free_loopback_port());
    }
    return {ports.begin(), ports.end()};
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

std::uint64_t needed_space(const WholeBackup& backup) {
    std::uint64_t bytes = 0;
    for (const auto& node : backup.nodes) {
        bytes += node.summary.bytes + node.summary.bytes / 20 + leeway;
    }
    return bytes;
}

// Where the files of the node with this number are.
Path directory_of(const ScratchDirectory& scratch, std::size_t number) {
    return scratch.path() / std::to_string(number + 1);
}

std::string list_of(const std::vector<std::string>& names) {
    std::string list;
    for (const auto& name : names) {
        list += (list.empty() ? "" : ", ") + name;
    }
    return list;
}

std::string everything_in(const Path& directory, const std::string& node) {
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
        text += "==== " + node + ": " + path.filename().string() + "\n";
        text.append(std::istreambuf_iterator<char>(file), {});
    }
    return text;
}

// A node of the sandbox while it comes up.
class Starting {
public:
    explicit Starting(erlang::NodeOptions options) : options_(std::move(options)) {}

    const std::string& node() const noexcept { return options_.node; }

    // Whether it serves, together with so many nodes in all. What cannot be reached yet, or does
    // not know the function yet, does not serve yet.
    bool is_serving(std::size_t nodes) {
        try {
            if (!connection_) {
                connection_.emplace(options_);
            }
            serves_ = serves_ || ask("rabbit", "is_running").is_atom("true");
            if (!serves_) {
                return false;
            }
            const auto running = ask("rabbit_hot_backup_compat", "running");
            const auto* list = std::get_if<erlang::List>(&running.value());
            return list != nullptr && list->elements.size() == nodes;
        } catch (const Error& error) {
            if (error.code() != ErrorCode::unreachable) {
                throw;
            }
            connection_.reset();
            return false;
        }
    }

private:
    erlang::Term ask(const char* module, const char* function) {
        return connection_->rpc(module, function, {}, step_timeout);
    }

    erlang::NodeOptions options_;
    std::optional<erlang::NodeConnection> connection_;
    bool serves_ = false;
};

}  // namespace

Sandbox::Sandbox(const std::vector<RestoredNode>& restored, const SandboxStart& start,
                 const ScratchDirectory& scratch, const SandboxOptions& options,
                 const std::function<void()>& interrupt)
    : interrupt_(interrupt ? interrupt : [] {}) {
    plan(restored, start, scratch, options);
    for (const auto& plan : plans_) {
        write_configuration(plan);
    }
    this->start(scratch);
    wait_until_serving(options.boot_timeout);
}

void Sandbox::plan(const std::vector<RestoredNode>& restored, const SandboxStart& start,
                   const ScratchDirectory& scratch, const SandboxOptions& options) {
    std::vector<std::string> nodes;
    for (const auto& node : restored) {
        nodes.push_back(node.node);
    }
    auto hosts = hosts_of(nodes);
    const auto ports = free_ports(hosts.size() + 2 * nodes.size());
    auto port = ports.begin();
    for (auto& host : hosts) {
        host.epmd = *port++;
    }
    const auto cookie = random_uuid();
    for (std::size_t number = 0; number < restored.size(); ++number) {
        SandboxPlan plan;
        plan.rabbitmq = options.rabbitmq;
        plan.plugins = options.plugins;
        plan.preloaded = options.preloaded;
        plan.instant = start.instant;
        plan.directory = directory_of(scratch, number);
        plan.restored = restored[number];
        plan.hosts = hosts;
        plan.ports.distribution = *port++;
        plan.ports.amqp = *port++;
        plan.cookie = cookie;
        plan.alone = restored.size() == 1;
        plan.force_boot = start.force_boot == number;
        plans_.push_back(std::move(plan));
    }
}

void Sandbox::start(const ScratchDirectory& scratch) {
    const auto child = [&](const SandboxPlan& plan, const Path& program,
                           std::vector<std::string> arguments) {
        return ChildOptions{program,
                            std::move(arguments),
                            sandbox_environment(plan),
                            plan.directory,
                            log_directory(plan) / (program.filename().string() + ".output"),
                            scratch.lock()};
    };
    for (const auto& host : plans_.front().hosts) {
        const auto of_host = std::ranges::find_if(plans_, [&](const SandboxPlan& plan) {
            return host_of(plan.restored.node) == host.name;
        });
        epmds_.emplace_back(child(*of_host, of_host->rabbitmq.epmd,
                                  {"-port", std::to_string(host.epmd), "-address", "127.0.0.1"}));
    }
    for (const auto& plan : plans_) {
        brokers_.emplace_back(child(plan, plan.rabbitmq.server(), {}));
    }
}

erlang::NodeOptions Sandbox::connection(std::size_t number) const {
    const auto& plan = plans_.at(number);
    erlang::NodeOptions options;
    options.node = plan.restored.node;
    options.cookie = plan.cookie;
    options.loopback_port = plan.ports.distribution;
    options.timeout = step_timeout;
    options.interrupt = interrupt_;
    return options;
}

void Sandbox::wait_until_serving(std::chrono::seconds timeout) {
    const auto deadline = Clock::now() + timeout;
    std::deque<Starting> starting;
    for (std::size_t number = 0; number < size(); ++number) {
        starting.emplace_back(connection(number));
    }
    for (;;) {
        std::vector<std::string> waited_for;
        for (auto& node : starting) {
            if (!node.is_serving(size())) {
                waited_for.push_back(node.node());
            }
        }
        if (waited_for.empty()) {
            return;
        }
        interrupt_();
        throw_if_ended();
        if (Clock::now() >= deadline) {
            throw Error(ErrorCode::failed,
                        "the sandbox broker of " + list_of(waited_for) + " did not boot within " +
                            std::to_string(timeout.count()) + " s",
                        "Large stores take minutes to recover: allow more with --boot-timeout.");
        }
        std::this_thread::sleep_for(poll_interval);
    }
}

void Sandbox::throw_if_ended() {
    for (std::size_t number = 0; number < size(); ++number) {
        if (!brokers_[number].running()) {
            throw Error(ErrorCode::failed,
                        "the sandbox broker of " + node(number) + " ended while it booted",
                        "The end of its log says why.");
        }
    }
    const auto& hosts = plans_.front().hosts;
    for (std::size_t number = 0; number < hosts.size(); ++number) {
        if (!epmds_[number].running()) {
            throw Error(ErrorCode::failed,
                        "the epmd of the sandbox broker ended, which had the port " +
                            std::to_string(hosts[number].epmd),
                        "Run the command again: another program may have taken the port.");
        }
    }
}

BootedBackup::BootedBackup(const WholeBackup& backup, const SandboxOptions& options,
                           const BootCallbacks& callbacks)
    : scratch_(options.scratch_parent, needed_space(backup)) {
    for (const auto& node : backup.nodes) {
        throw_unless_nameable(node.summary.node);
    }
    const auto begin = Clock::now();
    restore(backup, callbacks);
    restore_time_ = Clock::now() - begin;
    if (callbacks.restored) {
        callbacks.restored(restored_);
    }
    const auto boot_begin = Clock::now();
    keep_log_of([&] { boot(backup, options, callbacks.interrupt); });
    boot_time_ = Clock::now() - boot_begin;
}

void BootedBackup::restore(const WholeBackup& backup, const BootCallbacks& callbacks) {
    for (std::size_t number = 0; number < backup.nodes.size(); ++number) {
        const auto& node = backup.nodes[number];
        const auto directory = directory_of(scratch_, number);
        posix_file_system().make_directory(directory);
        RestoreOptions options;
        options.target = directory / "node";
        options.durable = false;
        RestoreCallbacks of_node;
        of_node.interrupt = callbacks.interrupt;
        if (callbacks.progress) {
            of_node.progress = [&](std::uint64_t done, std::uint64_t total) {
                callbacks.progress(node.summary.node, done, total);
            };
        }
        try {
            restored_.push_back(restore_node(*node.repository, node.backup, options, of_node));
        } catch (const Error& error) {
            if (!backup.of_cluster || error.code() == ErrorCode::interrupted) {
                throw;
            }
            throw Error(error.code(), "the part of " + node.summary.node + ": " + error.what(),
                        error.hint());
        }
    }
}

void BootedBackup::boot(const WholeBackup& backup, const SandboxOptions& options,
                        const std::function<void()>& interrupt) {
    SandboxStart start{backup.instant, {}};
    // Of a node that was backed up alone nobody knows whether it has others.
    if (!backup.of_cluster || !backup.missing.empty()) {
        start.force_boot = backup.metadata;
    }
    try {
        sandbox_.emplace(restored_, start, scratch_, options, interrupt);
    } catch (const Error& error) {
        if (error.code() == ErrorCode::interrupted ||
            options.rabbitmq.version == backup.rabbitmq_version) {
            throw;
        }
        throw Error(ErrorCode::failed,
                    "RabbitMQ " + options.rabbitmq.version +
                        " does not boot a backup of RabbitMQ " + backup.rabbitmq_version + ": " +
                        error.what(),
                    error.hint() +
                        " RabbitMQ upgrades only from some releases, with all their feature flags "
                        "enabled. Run this where RabbitMQ " +
                        backup.rabbitmq_version +
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
        std::string logs;
        for (std::size_t number = 0; number < restored_.size(); ++number) {
            logs += everything_in(directory_of(scratch_, number) / "log", restored_[number].node);
        }
        const auto log = scratch_.leave(logs);
        throw Error(error.code() == ErrorCode::unreachable ? ErrorCode::failed : error.code(),
                    error.what(),
                    error.hint() + (error.hint().empty() ? "" : " ") +
                        "The log of the sandbox broker is kept in " + log.string() + ".");
    }
}

}  // namespace hot_backup
