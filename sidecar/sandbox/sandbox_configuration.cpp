#include "sidecar/sandbox/sandbox_configuration.hpp"

#include "sidecar/restore/erlang_text.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <system_error>
#include <vector>

namespace hot_backup {
namespace {

namespace fs = std::filesystem;

constexpr std::array taken_over_keys{"classic_queue.default_version",
                                     "deprecated_features.permit."};

// The broker's time of day begins so long before the instant: then nothing that was there at the
// instant expires while it runs.
constexpr std::chrono::hours lead{24 * 7};

void write_file(const Path& path, std::string_view content) {
    posix_file_system().create(path)->append(content);
}

std::string read_file(const Path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

// rabbitmq.conf and conf.d, in the order in which RabbitMQ reads them.
std::vector<Path> configuration_files(const Path& configuration) {
    std::vector<Path> files;
    std::error_code error;
    for (fs::directory_iterator entry(configuration / "conf.d", error), end; !error && entry != end;
         entry.increment(error)) {
        files.push_back(entry->path());
    }
    std::sort(files.begin(), files.end());
    files.insert(files.begin(), configuration / "rabbitmq.conf");
    return files;
}

std::string taken_over_from(const std::optional<Path>& configuration) {
    std::string lines;
    if (configuration) {
        for (const auto& file : configuration_files(*configuration)) {
            lines += taken_over(read_file(file));
        }
    }
    return lines;
}

// The same of the other format.
std::string advanced_taken_over_from(const std::optional<Path>& configuration) {
    static const std::regex version(R"(\{\s*classic_queue_default_version\s*,\s*([12])\s*\})");
    std::smatch found;
    const auto text = configuration ? read_file(*configuration / "advanced.config") : "";
    return std::regex_search(text, found, version)
               ? ",{classic_queue_default_version," + found[1].str() + "}"
               : "";
}

// Who reads a queue of the sandbox may have to wait for hours for the broker that the messages go
// to: no consumer is ended for what it has not acknowledged.
std::string settings_of_rabbit(const std::optional<Path>& configuration) {
    return "{rabbit,[{consumer_timeout,undefined}" + advanced_taken_over_from(configuration) +
           "]},";
}

// A node that kept its write-ahead log elsewhere has it in a directory of its own after a restore.
std::string log_directory_of_raft(const RestoredNode& restored) {
    const auto log = std::ranges::find(restored.moved_parts, "quorum_wal", &MovedPart::role);
    return log == restored.moved_parts.end()
               ? ""
               : "{ra,[{wal_data_dir," + to_erlang_text(log->to.string()) + "}]},";
}

// Nothing of a sandbox is to be blocked for want of space: what it writes is thrown away.
std::string rabbitmq_conf(const SandboxPlan& plan) {
    return "listeners.tcp.1 = 127.0.0.1:" + std::to_string(plan.ports.amqp) +
           "\n"
           "disk_free_limit.absolute = 1MB\n"
           "log.console = false\n"
           "log.file.level = info\n" +
           taken_over_from(plan.restored.configuration);
}

// The values that a variable of our own environment may pass on.
void pass_on(const char* name, const char* otherwise, Environment& environment) {
    if (const char* value = std::getenv(name)) {
        environment.emplace(name, value);
    } else if (otherwise != nullptr) {
        environment.emplace(name, otherwise);
    }
}

}  // namespace

std::string taken_over(std::string_view rabbitmq_conf) {
    std::string lines;
    while (!rabbitmq_conf.empty()) {
        const auto end = std::min(rabbitmq_conf.find('\n'), rabbitmq_conf.size());
        auto line = rabbitmq_conf.substr(0, end);
        rabbitmq_conf.remove_prefix(std::min(end + 1, rabbitmq_conf.size()));
        line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
        if (std::ranges::any_of(taken_over_keys,
                                [&](std::string_view key) { return line.starts_with(key); })) {
            lines.append(line).append("\n");
        }
    }
    return lines;
}

Path log_directory(const SandboxPlan& plan) {
    return plan.directory / "log";
}

void write_configuration(const SandboxPlan& plan) {
    const auto& directory = plan.directory;
    for (const char* name : {"log", "home", "generated", "expanded", "tmp"}) {
        posix_file_system().make_directory(directory / name);
    }
    write_file(directory / "home/.erlang.cookie", plan.cookie);
    write_file(directory / "inetrc", inetrc(plan.hosts));
    write_file(directory / "rabbitmq.conf", rabbitmq_conf(plan));
    // Our own program needs no port program inside.
    write_file(directory / "advanced.config", "[" + log_directory_of_raft(plan.restored) +
                                                  settings_of_rabbit(plan.restored.configuration) +
                                                  "{rabbitmq_hot_backup,[{port,false}]}].\n");
    write_file(directory / "enabled_plugins", "[rabbitmq_hot_backup].\n");
    if (plan.force_boot) {
        // What `rabbitmqctl force_boot` leaves (rabbit_mnesia, force_load_filename/0). With Khepri
        // nobody looks at it.
        write_file(plan.restored.data_directory / "force_load", "");
    }
}

Environment sandbox_environment(const SandboxPlan& plan) {
    const auto in = [&](const char* name) { return (plan.directory / name).string(); };
    const auto& host = host_for(plan.hosts, plan.restored.node);
    Environment environment{
        {"HOME", in("home")},
        {"TMPDIR", in("tmp")},
        {"LANG", "C.UTF-8"},
        {"LD_PRELOAD", plan.preloaded.string()},
        {"HOT_BACKUP_CLOCK", std::to_string((plan.instant - lead).time_since_epoch().count())},
        // For every Erlang VM: RabbitMQ starts a second one for a moment.
        {"ERL_EPMD_PORT", std::to_string(host.epmd)},
        {"ERL_INETRC", in("inetrc")},
        {"ERL_FLAGS", std::string("-start_epmd false -kernel inet_dist_use_interface {127,0,0,1}") +
                          (plan.alone ? " -kernel dist_auto_connect never" : "")},
        {"HOT_BACKUP_HOSTS", host_variable(plan.hosts)},
        {"ERL_LIBS", plan.plugins.string()},
        {"RABBITMQ_BOOT_MODULE", "rabbit_hot_backup_sandbox"},
        {"RABBITMQ_NODENAME", plan.restored.node},
        {"RABBITMQ_DIST_PORT", std::to_string(plan.ports.distribution)},
        {"RABBITMQ_MNESIA_BASE", plan.directory.string()},
        {"RABBITMQ_MNESIA_DIR", plan.restored.data_directory.string()},
        {"RABBITMQ_LOG_BASE", log_directory(plan).string()},
        {"RABBITMQ_CONFIG_FILE", in("rabbitmq.conf")},
        {"RABBITMQ_CONFIG_FILES", in("conf.d")},
        {"RABBITMQ_ADVANCED_CONFIG_FILE", in("advanced.config")},
        {"RABBITMQ_GENERATED_CONFIG_DIR", in("generated")},
        {"RABBITMQ_ENABLED_PLUGINS_FILE", in("enabled_plugins")},
        {"RABBITMQ_PLUGINS_EXPAND_DIR", in("expanded")},
        {"RABBITMQ_PLUGINS_DIR",
         plan.plugins.string() + ":" + (plan.rabbitmq.home / "plugins").string()},
        {"RABBITMQ_CONF_ENV_FILE", in("rabbitmq-env.conf")},
        // The script then becomes the VM instead of waiting for it, and -noinput takes the input
        // away again.
        {"RABBITMQ_ALLOW_INPUT", "true"},
        {"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-noinput"},
    };
    if (host.name.find('.') != std::string::npos) {
        environment.emplace("RABBITMQ_USE_LONGNAME", "true");
    }
    if (plan.alone) {
        environment.emplace("HOT_BACKUP_ALONE", "true");  // rabbit_hot_backup_sandbox.erl
    }
    if (plan.restored.feature_flags) {
        environment.emplace("RABBITMQ_FEATURE_FLAGS_FILE", plan.restored.feature_flags->string());
    }
    pass_on("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", environment);
    pass_on("LD_LIBRARY_PATH", nullptr, environment);
    return environment;
}

}  // namespace hot_backup
