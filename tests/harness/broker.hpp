// A throw-away RabbitMQ node: the distribution's own package, in a temporary directory, as the
// current user.
//
// It shares nothing with a broker that may run on the machine: own node name, cookie, data, logs,
// configuration, ports on the loopback interface only, and an epmd of the test's own. It starts in
// about four seconds, so share one per executable where a test does not have to damage it.
#pragma once

#include "erlang_port/node_connection.hpp"
#include "erlang_port/term.hpp"
#include "sidecar/rabbitmq_version.hpp"
#include "tests/harness/epmd.hpp"
#include "tests/harness/network.hpp"
#include "tests/harness/port.hpp"
#include "tests/harness/process.hpp"
#include "tests/harness/temp_dir.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace harness {

struct BrokerOptions {
    bool hot_backup = true;                 // with the plugin of this build
    std::filesystem::path engine = {};      // the plugin's program; none: this build's
    std::vector<std::string> plugins = {};  // further plugins to enable, by name
    std::string configuration = {};         // lines to add to rabbitmq.conf
    // Erlang terms for the environment of application rabbitmq_hot_backup, each "{key, Value}".
    std::vector<std::string> settings = {};
    // As above, for further applications: {"rabbit", {"{key, Value}"}}.
    std::map<std::string, std::vector<std::string>> application_settings = {};
    Environment environment = {};  // of the node
    // To boot an image: the directory that holds the data directory of a node and what lies beside
    // it, and that node's name. The broker then has an epmd of its own, so that the node whose
    // image it is may run at the same time.
    std::filesystem::path data = {};
    std::string node = {};
    std::shared_ptr<const Epmd> epmd = {};  // none: as said above
    std::string cookie = {};                // none: one of its own
    // False: the constructor does not wait until it serves; await() does.
    bool await = true;
    // Of another system (ProcessOptions), whose RabbitMQ this is then. It sees the temporary
    // directory and the project's.
    std::vector<std::string> launcher = {};
    // Of Erlang's VM.
    std::string erlang_arguments = {};
    // Where it runs in place of this machine, with long names; it outlives the broker. Not together
    // with a launcher.
    const NetworkHost* host = nullptr;
};

class Broker {
public:
    // Starts it and returns once it serves. Throws Error with the end of its log when it does not.
    explicit Broker(BrokerOptions options = {});

    // Stops the node in an orderly way.
    void stop();
    // Ends the node as a power cut would, but for the page cache.
    void kill9();
    // After stop() or kill9(): on the same data, ports and name.
    void start();
    // Returns once it serves. Throws Error with the end of its log when it does not.
    void await();

    const std::string& node() const noexcept { return node_; }
    const std::string& cookie() const noexcept { return cookie_; }
    std::filesystem::path cookie_file() const { return files_ / "home/.erlang.cookie"; }
    std::uint16_t amqp_port() const noexcept { return amqp_port_.number(); }
    // Where its ports are on 127.0.0.1 (Visit). Null: on this machine.
    const NetworkHost* host() const noexcept { return options_.host; }
    // With rabbitmq_management among the plugins.
    std::uint16_t management_port() const noexcept { return management_port_.number(); }
    const std::filesystem::path& directory() const noexcept { return files_.path(); }
    // Holds the data directory and what the node keeps beside it.
    const std::filesystem::path& data_base() const noexcept { return data_; }
    std::filesystem::path data_directory() const { return data_ / node_; }
    // Where backups go that the node asks for; it is the default repository in the plugin's
    // settings.
    std::filesystem::path repository() const { return files_ / "repository"; }

    // Of its server.
    hot_backup::RabbitmqVersion version() const;
    // Of the Erlang VM.
    pid_t pid() const;
    bool running() { return process_ && process_->running(); }
    // The port programs that run now.
    std::vector<pid_t> port_programs() const;

    // Evaluates a function in the node, over the Erlang distribution. Throws Error when that fails.
    erlang::Term call(const std::string& module, const std::string& function,
                      std::vector<erlang::Term> arguments,
                      std::chrono::milliseconds timeout = std::chrono::seconds(30)) const;
    // Evaluates expressions ("A = 1, A + 1.") in the node and returns the value of the last one.
    erlang::Term eval(const std::string& expressions,
                      std::chrono::milliseconds timeout = std::chrono::seconds(30)) const;

    // Runs one of the package's commands, which takes a second or two; throws Error with what it
    // printed when it fails.
    std::string rabbitmqctl(const std::vector<std::string>& arguments,
                            std::chrono::milliseconds timeout = std::chrono::minutes(2)) const;
    std::string rabbitmq_plugins(const std::vector<std::string>& arguments) const;
    // The same, for who wants to see how it fails, with further variables in its environment.
    Result tool(const std::string& name, const std::vector<std::string>& arguments,
                Environment environment = {},
                std::chrono::milliseconds timeout = std::chrono::minutes(2)) const;

    // What a client on this machine needs around it to find the node: its epmd and a HOME with the
    // cookie.
    Environment client_environment() const;
    // The same as options to start it with: on the node's host.
    ProcessOptions client_options() const;

    // The node's log and what it printed on its terminal.
    std::string log() const;

private:
    erlang::NodeConnection connect() const;
    void write_configuration();
    std::string host_name() const;
    const std::filesystem::path& engine() const;
    std::string advanced_configuration() const;
    Environment node_environment() const;
    std::string command(const std::string& name, const std::vector<std::string>& arguments,
                        std::chrono::milliseconds timeout) const;
    void wait_until_serving();

    BrokerOptions options_;
    std::filesystem::path home_;
    TempDir files_;
    std::filesystem::path data_;
    std::shared_ptr<const Epmd> epmd_;
    Port amqp_port_;
    Port distribution_port_;
    Port management_port_;
    std::string node_;
    std::string cookie_;
    std::optional<Process> process_;
};

// Of the server that the tests run.
hot_backup::RabbitmqVersion tested_version();
// The types of queues that it has: before RabbitMQ 3.9 there are no streams, and what a test does
// with them it does not do then.
bool has_streams();
std::vector<std::string> queue_types();

// The broker that the tests of one executable share; started at the first use, ended with the
// executable.
Broker& shared_broker();

}  // namespace harness
