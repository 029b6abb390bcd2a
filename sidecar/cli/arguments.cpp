#include "sidecar/cli/arguments.hpp"

#include "erlang_port/error.hpp"
#include "sidecar/engine/version.hpp"

#include <unistd.h>
#include <CLI/CLI.hpp>

#include <array>
#include <cstdlib>
#include <iostream>

namespace hot_backup {
namespace {

constexpr auto exit_code_help =
    "Exit codes: 0 done; 1 failed; 2 wrong usage; 3 verification found damage; 10 no such backup\n"
    "or repository; 11 repository locked; 12 cannot reach or authenticate to the node;\n"
    "130 interrupted.";

std::string from_environment(const char* name, std::string otherwise) {
    const char* value = std::getenv(name);
    return value && *value ? value : std::move(otherwise);
}

// rabbit@ and this host's name: short, as RabbitMQ itself names its node by default.
std::string default_node() {
    std::array<char, 256> name{};
    if (::gethostname(name.data(), name.size() - 1) != 0) {
        return "rabbit@localhost";
    }
    const std::string host(name.data());
    return "rabbit@" + host.substr(0, host.find('.'));
}

// CLI11 takes -1 and what is beyond 64 bits for numbers. Returns what is wrong; empty when nothing.
std::string size_problem(const std::string& text) {
    constexpr std::size_t most_digits = 18;
    const bool digits = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
    return digits && text.size() <= most_digits ? "" : "\"" + text + "\" is not a size";
}

// Adds the subcommands and binds their options to `arguments`.
class Parser {
public:
    explicit Parser(Arguments& arguments)
        : arguments_(arguments), app_("Hot backups of a running RabbitMQ node.") {
        app_.name("rabbitmq-hot-backup");
        app_.set_version_flag("--version", std::string(program_version));
        app_.footer(exit_code_help);
        app_.require_subcommand(1);
        app_.fallthrough(false);
        arguments_.repository =
            from_environment("RABBITMQ_HOT_BACKUP_REPOSITORY", "/var/backups/rabbitmq");
        arguments_.node = from_environment("RABBITMQ_NODENAME", default_node());
        add_create();
        add("list", "List the backups of a repository.", Arguments::Command::list);
        add_show();
        add_verify();
        add_definitions();
        add("delete", "Delete backups. Never damages another one.", Arguments::Command::remove)
            ->add_option("ID", arguments_.backups, "Backups to delete.")
            ->required();
        // What the plugin starts; not for people, so not in the help.
        app_.add_subcommand("port")->group("")->callback(
            [this] { arguments_.command = Arguments::Command::port; });
    }

    CLI::App& app() { return app_; }

private:
    CLI::App* add(const char* name, const char* description, Arguments::Command command) {
        auto* subcommand = app_.add_subcommand(name, description);
        subcommand->callback([this, command] { arguments_.command = command; });
        subcommand
            ->add_option("-r,--repository", arguments_.repository,
                         "Directory of the backups (environment: "
                         "RABBITMQ_HOT_BACKUP_REPOSITORY).")
            ->capture_default_str();
        subcommand->add_flag("--json", arguments_.json,
                             "One JSON object a line: status, summary, damage, error.");
        subcommand->footer(exit_code_help);
        return subcommand;
    }

    void add_backup(CLI::App& subcommand) {
        arguments_.backups = {"latest"};
        subcommand
            .add_option("ID", arguments_.backups, "A backup, the start of its ID, or latest.")
            ->expected(1)
            ->capture_default_str();
    }

    void add_create() {
        auto* create = add("create", "Back up a running node.", Arguments::Command::create);
        create
            ->add_option("-n,--node", arguments_.node, "The node (environment: RABBITMQ_NODENAME).")
            ->capture_default_str();
        create->add_flag("-l,--longnames", arguments_.long_names,
                         "The node uses long (fully qualified) names.");
        create->add_option("--cookie-file", arguments_.cookie_file,
                           "File with the Erlang cookie. Default: the environment's "
                           "RABBITMQ_ERLANG_COOKIE, then ~/.erlang.cookie, then RabbitMQ's own.");
        create
            ->add_option_function<unsigned>(
                "--max-pause",
                [this](unsigned ms) { arguments_.max_pause = std::chrono::milliseconds(ms); },
                "Milliseconds that the node may be held still. Default: as the node is configured.")
            ->type_name("MS")
            ->check(CLI::Range(1, 10000));
        create
            ->add_option("--rate-limit", arguments_.rate_limit,
                         "Bytes a second to read at the most, such as 50MB or 1GiB; 0: no limit. "
                         "Default: as the node is configured.")
            ->type_name("BYTES")
            ->transform(CLI::AsSizeValue(true))
            ->check(size_problem);
    }

    void add_show() {
        auto* show = add("show", "Show what a backup holds.", Arguments::Command::show);
        add_backup(*show);
        show->add_option("--vhost", arguments_.vhost, "The queues of this vhost only.")
            ->type_name("NAME");
        show->add_flag("--all", arguments_.all,
                       "Every queue, not only those with the most messages.");
        show->add_flag("--files", arguments_.files, "Every file of the node's data, too.");
    }

    void add_verify() {
        auto* verify = add("verify", "Read every byte of a backup again and check it.",
                           Arguments::Command::verify);
        add_backup(*verify);
        verify->add_flag("--all", arguments_.all, "Every backup of the repository.")
            ->excludes("ID");
    }

    void add_definitions() {
        auto* definitions =
            add("definitions", "Print a backup's definitions as JSON for import_definitions.",
                Arguments::Command::definitions);
        add_backup(*definitions);
        definitions->add_option("-o,--output", arguments_.output_file,
                                "Write to this file instead of standard output.");
    }

    Arguments& arguments_;
    CLI::App app_;
};

}  // namespace

std::optional<Arguments> parse_arguments(int argc, const char* const* argv) {
    Arguments arguments;
    Parser parser(arguments);
    try {
        parser.app().parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        if (error.get_exit_code() == 0) {
            parser.app().exit(error, std::cout, std::cerr);
            return std::nullopt;
        }
        throw Error(ErrorCode::usage, error.what(), "See rabbitmq-hot-backup --help.");
    }
    if (arguments.command == Arguments::Command::definitions && arguments.json &&
        arguments.output_file.empty()) {
        throw Error(ErrorCode::usage, "definitions --json needs --output",
                    "Definitions on standard output are JSON already, one document.");
    }
    return arguments;
}

}  // namespace hot_backup
