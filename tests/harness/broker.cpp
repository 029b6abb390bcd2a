#include "tests/harness/broker.hpp"

#include "erlang_port/error.hpp"
#include "tests/harness/cli.hpp"
#include "tests/harness/wait.hpp"

#include <unistd.h>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <random>
#include <string_view>

namespace harness {

using hot_backup::Error;
using hot_backup::ErrorCode;
using namespace std::chrono_literals;

namespace {

// The server's files as the package lays them out.
std::filesystem::path rabbitmq_home() {
    if (const char* home = std::getenv("HOT_BACKUP_TEST_RABBITMQ_HOME")) {
        return home;
    }
    const std::filesystem::path parent = "/usr/lib/rabbitmq/lib";
    std::filesystem::path newest;
    if (std::filesystem::is_directory(parent)) {
        for (const auto& entry : std::filesystem::directory_iterator(parent)) {
            newest = std::max(newest, entry.path());
        }
    }
    if (newest.empty()) {
        throw Error(ErrorCode::failed, "no RabbitMQ server below " + parent.string(),
                    "Install the package rabbitmq-server: sh tests/packages.sh");
    }
    return newest;
}

std::filesystem::path rabbitmq_home(const std::vector<std::string>& launcher) {
    if (launcher.empty()) {
        return rabbitmq_home();
    }
    const std::filesystem::path parent = "/usr/lib/rabbitmq/lib";
    const Result listed = run("ls", {parent}, {.launcher = launcher});
    if (listed.exit_code != 0) {
        throw Error(ErrorCode::failed, launcher.front() + " failed: " + listed.error_output);
    }
    return parent / listed.output.substr(0, listed.output.find('\n'));
}

hot_backup::RabbitmqVersion version_of(const std::filesystem::path& home) {
    const std::string name = home.filename();
    const auto version = hot_backup::RabbitmqVersion::of(name.substr(name.rfind('-') + 1));
    if (!version) {
        throw Error(ErrorCode::failed, name + " does not name a version");
    }
    return *version;
}

std::string random_cookie() {
    std::random_device random;
    std::string cookie(24, 'A');
    std::ranges::generate(
        cookie, [&] { return static_cast<char>('A' + static_cast<char>(random() % 26)); });
    return cookie;
}

std::string joined(const std::vector<std::string>& parts) {
    std::string text;
    for (const std::string& part : parts) {
        text += (text.empty() ? "" : ",") + part;
    }
    return text;
}

// Variables by which the caller's environment would reach into the broker.
void drop_foreign_variables(Environment& environment) {
    for (char** variable = environ; *variable != nullptr; ++variable) {
        const std::string_view text = *variable;
        const std::string name(text.substr(0, text.find('=')));
        if (name.starts_with("RABBITMQ_") || name.starts_with("ERL_") || name == "NOTIFY_SOCKET") {
            environment.emplace(name, std::nullopt);  // keeps what is set already
        }
    }
}

}  // namespace

Broker::Broker(BrokerOptions options)
    : options_(std::move(options)),
      home_(rabbitmq_home(options_.launcher)),
      data_(options_.data.empty() ? files_ / "data" : options_.data),
      epmd_(options_.epmd           ? options_.epmd
            : options_.host         ? std::make_shared<const Epmd>(*options_.host)
            : options_.data.empty() ? shared_epmd()
                                    : std::make_shared<const Epmd>()),
      node_(options_.node.empty() ? "test" + std::to_string(amqp_port_.number()) + "@" + host_name()
                                  : options_.node),
      cookie_(options_.cookie.empty() ? random_cookie() : options_.cookie) {
    if (options_.host != nullptr) {
        options_.launcher = options_.host->launcher();
    }
    write_configuration();
    start();
}

std::string Broker::host_name() const {
    return options_.host != nullptr ? options_.host->address() : "localhost";
}

void Broker::write_configuration() {
    for (const char* directory : {"log", "home", "generated"}) {
        std::filesystem::create_directory(files_ / directory);
    }
    std::filesystem::create_directory(data_);
    write_file(cookie_file(), cookie_);
    std::filesystem::permissions(cookie_file(), std::filesystem::perms::owner_read);

    const auto enabled = [this](std::string_view plugin) {
        return std::ranges::find(options_.plugins, plugin) != options_.plugins.end();
    };
    std::string configuration =
        "listeners.tcp.default = 127.0.0.1:" + std::to_string(amqp_port()) + "\n";
    if (enabled("rabbitmq_management")) {
        configuration += "management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = " +
                         std::to_string(management_port()) + "\n";
    }
    if (options_.hot_backup) {
        // How much is free on a machine that runs tests is nobody's business.
        configuration += "hot_backup.min_free_space = 0\n";
    }
    write_file(files_ / "rabbitmq.conf", configuration + options_.configuration);

    std::vector<std::string> plugins = options_.plugins;
    if (options_.hot_backup) {
        plugins.emplace_back("rabbitmq_hot_backup");
    }
    write_file(files_ / "enabled_plugins", "[" + joined(plugins) + "].\n");
    write_file(files_ / "advanced.config", advanced_configuration());
    write_file(files_ / "inetrc", "{domain, \"test\"}.\n");
}

std::string Broker::advanced_configuration() const {
    std::vector<std::string> settings = options_.settings;
    if (options_.hot_backup) {
        settings.push_back("{executable,\"" + engine().string() + "\"}");
        settings.push_back("{repository,\"" + repository().string() + "\"}");
    }
    std::vector<std::string> applications{"{rabbitmq_hot_backup,[" + joined(settings) + "]}"};
    for (const auto& [application, its_settings] : options_.application_settings) {
        applications.push_back("{" + application + ",[" + joined(its_settings) + "]}");
    }
    return "[" + joined(applications) + "].\n";
}

Environment Broker::client_environment() const {
    return {{"HOME", (files_ / "home").string()},
            {"ERL_EPMD_PORT", epmd_->port()},
            {"LANG", "C.UTF-8"}};
}

ProcessOptions Broker::client_options() const {
    return {.environment = client_environment(), .launcher = options_.launcher};
}

Environment Broker::node_environment() const {
    Environment environment = options_.environment;
    std::string loopback = "-kernel inet_dist_use_interface {127,0,0,1}";
    if (options_.host != nullptr) {
        loopback = "";  // others have to reach it
        environment["RABBITMQ_USE_LONGNAME"] = "true";
        // Commands are nodes, too, and want a host name with a domain.
        environment["ERL_INETRC"] = (files_ / "inetrc").string();
    }
    environment.merge(client_environment());
    environment.merge(Environment{
        {"RABBITMQ_NODENAME", node_},
        {"RABBITMQ_DIST_PORT", std::to_string(distribution_port_.number())},
        {"RABBITMQ_MNESIA_BASE", data_.string()},
        {"RABBITMQ_LOG_BASE", (files_ / "log").string()},
        {"RABBITMQ_CONFIG_FILE", (files_ / "rabbitmq.conf").string()},
        {"RABBITMQ_ADVANCED_CONFIG_FILE", (files_ / "advanced.config").string()},
        {"RABBITMQ_GENERATED_CONFIG_DIR", (files_ / "generated").string()},
        {"RABBITMQ_ENABLED_PLUGINS_FILE", (files_ / "enabled_plugins").string()},
        {"RABBITMQ_CONF_ENV_FILE", (files_ / "rabbitmq-env.conf").string()},
        // The script then becomes the VM instead of waiting for it, and -noinput takes the input
        // away again.
        {"RABBITMQ_ALLOW_INPUT", "true"},
        {"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
         "-noinput " + loopback + " " + options_.erlang_arguments},
        // Any free port: the default is a range of eleven for all commands of the machine.
        {"RABBITMQ_CTL_DIST_PORT_MIN", "0"},
        {"RABBITMQ_CTL_DIST_PORT_MAX", "0"},
        {"RABBITMQ_CTL_ERL_ARGS", loopback},
    });
    if (options_.hot_backup) {
        environment.emplace("RABBITMQ_PLUGINS_DIR", std::string(HOT_BACKUP_PLUGINS_DIR) + ":" +
                                                        (home_ / "plugins").string());
    }
    drop_foreign_variables(environment);
    return environment;
}

void Broker::start() {
    process_.emplace(home_ / "sbin/rabbitmq-server", std::vector<std::string>{},
                     ProcessOptions{node_environment(), files_.path(), {}, options_.launcher});
    if (options_.await) {
        await();
    }
}

void Broker::await() {
    try {
        wait_until_serving();
    } catch (const Error& error) {
        const std::string text = log();
        throw Error(ErrorCode::failed,
                    std::string("the test broker does not start: ") + error.what() + "\n" +
                        text.substr(text.size() - std::min<std::size_t>(text.size(), 6000)));
    }
}

void Broker::wait_until_serving() {
    wait_for("the AMQP listener", 120s, [this] {
        const Visit visit(options_.host);
        if (!process_->running()) {
            throw Error(ErrorCode::failed, "it ended");
        }
        return accepts_connections(amqp_port());
    });
    // The listener comes before the last boot steps.
    call("rabbit", "await_startup", {}, 60s);
}

void Broker::stop() {
    process_->signal(SIGTERM);
    try {
        process_->wait(version() < hot_backup::RabbitmqVersion{3, 9, 0} ? 20s : 60s);
    } catch (const Error&) {
        // A VM of OTP 23 under RabbitMQ 3.8 often stays for minutes after everything in it has
        // stopped, the distribution too; one without any plugin as well.
        if (version() >= hot_backup::RabbitmqVersion{3, 9, 0}) {
            throw;
        }
        kill9();
    }
}

void Broker::kill9() {
    process_->signal(SIGKILL);
    process_->wait(60s);
}

hot_backup::RabbitmqVersion Broker::version() const {
    return version_of(home_);
}

const std::filesystem::path& Broker::engine() const {
    return options_.engine.empty() ? cli_path() : options_.engine;
}

pid_t Broker::pid() const {
    return process_->pid();
}

std::vector<pid_t> Broker::port_programs() const {
    // The plugin runs the same executable for other things, too: it lists what is in the
    // repository.
    const std::string command = engine().string() + '\0' + "port" + '\0';
    std::vector<pid_t> programs = descendants(pid());
    std::erase_if(programs, [&](pid_t program) {
        return read_file("/proc/" + std::to_string(program) + "/cmdline") != command;
    });
    return programs;
}

erlang::NodeConnection Broker::connect() const {
    static std::mutex environment;
    const std::lock_guard lock(environment);
    epmd_->select();
    const Visit visit(options_.host);
    return erlang::NodeConnection(
        {.node = node_, .cookie = cookie_, .loopback_port = distribution_port_.number()});
}

erlang::Term Broker::call(const std::string& module, const std::string& function,
                          std::vector<erlang::Term> arguments,
                          std::chrono::milliseconds timeout) const {
    erlang::NodeConnection connection = connect();
    return connection.call(module, function, std::move(arguments), timeout);
}

erlang::Term Broker::eval(const std::string& expressions, std::chrono::milliseconds timeout) const {
    erlang::NodeConnection connection = connect();
    // The element of {ok, Element, ...} or {value, Element, ...}.
    const auto good = [&](const erlang::Term& answer) {
        const erlang::Term* tag = answer.element(0);
        if (tag == nullptr || !(tag->is_atom("ok") || tag->is_atom("value"))) {
            throw Error(ErrorCode::failed,
                        "cannot evaluate " + expressions + ": " + erlang::to_string(answer));
        }
        return *answer.element(1);
    };
    const erlang::Term text =
        connection.call("unicode", "characters_to_list", {erlang::binary(expressions)}, timeout);
    const erlang::Term tokens = good(connection.call("erl_scan", "string", {text}, timeout));
    const erlang::Term parsed =
        good(connection.call("erl_parse", "parse_exprs", {tokens}, timeout));
    return good(connection.call("erl_eval", "exprs", {parsed, erlang::list({})}, timeout));
}

Result Broker::tool(const std::string& name, const std::vector<std::string>& arguments,
                    Environment environment, std::chrono::milliseconds timeout) const {
    std::vector<std::string> all{"--node", node_};
    all.insert(all.end(), arguments.begin(), arguments.end());
    environment.merge(node_environment());
    return run(home_ / "sbin" / name, all, {environment, files_.path(), {}, options_.launcher},
               timeout);
}

std::string Broker::command(const std::string& name, const std::vector<std::string>& arguments,
                            std::chrono::milliseconds timeout) const {
    std::vector<std::string> all{"--quiet"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const Result result = tool(name, all, {}, timeout);
    if (result.exit_code != 0) {
        throw Error(ErrorCode::failed, name + " " + arguments.front() +
                                           " failed: " + result.output + result.error_output);
    }
    return result.output;
}

std::string Broker::rabbitmqctl(const std::vector<std::string>& arguments,
                                std::chrono::milliseconds timeout) const {
    return command("rabbitmqctl", arguments, timeout);
}

std::string Broker::rabbitmq_plugins(const std::vector<std::string>& arguments) const {
    return command("rabbitmq-plugins", arguments, std::chrono::minutes(2));
}

std::string Broker::log() const {
    std::string text = read_file(files_ / "log" / (node_ + ".log"));
    if (process_) {
        text += process_->output() + process_->error_output();
    }
    return text;
}

hot_backup::RabbitmqVersion tested_version() {
    return version_of(rabbitmq_home());
}

bool has_streams() {
    return tested_version() >= hot_backup::RabbitmqVersion{3, 9, 0};
}

std::vector<std::string> queue_types() {
    std::vector<std::string> types{"classic", "quorum"};
    if (has_streams()) {
        types.emplace_back("stream");
    } else {
        // Not by std::cout: tests ask before anything of this file is initialized.
        std::puts("this RabbitMQ has no streams: nothing is tested of them");
    }
    return types;
}

Broker& shared_broker() {
    static Broker broker;
    return broker;
}

}  // namespace harness
