#include "sidecar/cli/arguments.hpp"

#include "erlang_port/error.hpp"
#include "sidecar/cli/argument_checks.hpp"
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
    "13 the backup is protected; 130 interrupted.";

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
        arguments_.repository = from_environment("RABBITMQ_HOT_BACKUP_REPOSITORY", "");
        arguments_.repository_given = !arguments_.repository.empty();
        if (!arguments_.repository_given) {
            arguments_.repository = "/var/backups/rabbitmq";
        }
        arguments_.node = from_environment("RABBITMQ_NODENAME", default_node());
        add_create();
        add("list", "List the backups of a repository.", Arguments::Command::list)
            ->add_flag("--parts", arguments_.cluster.list_parts,
                       "Of a cluster's backups also the part of each node.");
        add_show();
        add_verify();
        add_definitions();
        add_restore();
        add_archive();
        add_retry_lock(*add_several("delete", "Delete backups. Never damages another one.",
                                    Arguments::Command::remove));
        add_several("protect", "Keep backups from being deleted and pruned.",
                    Arguments::Command::protect)
            ->add_option("--reason", arguments_.reason, "Why, for those who ask later.")
            ->type_name("TEXT")
            ->check(text_problem);
        add_several("unprotect", "Take the protection of backups away.",
                    Arguments::Command::unprotect);
        add_note();
        add_prune();
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
            ->each([this](const std::string&) { arguments_.repository_given = true; })
            ->capture_default_str();
        subcommand->add_flag("--json", arguments_.json,
                             "One JSON object a line: status, summary, damage, error, and so on.");
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

    CLI::App* add_several(const char* name, const char* description, Arguments::Command command) {
        auto* subcommand = add(name, description, command);
        subcommand
            ->add_option("ID", arguments_.backups, "Backups: each by its ID, its start, or latest.")
            ->required();
        return subcommand;
    }

    void add_connection(CLI::App& subcommand) {
        subcommand.add_flag("-l,--longnames", arguments_.long_names,
                            "The node uses long (fully qualified) names.");
        subcommand.add_option("--cookie-file", arguments_.cookie_file,
                              "File with the Erlang cookie. Default: the environment's "
                              "RABBITMQ_ERLANG_COOKIE, then ~/.erlang.cookie, then RabbitMQ's "
                              "own.");
    }

    void add_rate_limit(CLI::App& subcommand, const std::string& description) {
        subcommand.add_option("--rate-limit", arguments_.rate_limit, description)
            ->type_name("BYTES")
            ->transform(CLI::AsSizeValue(true))
            ->check(size_problem);
    }

    void add_retry_lock(CLI::App& subcommand) {
        subcommand
            .add_option_function<unsigned>(
                "--retry-lock",
                [this](unsigned s) { arguments_.retry_lock = std::chrono::seconds(s); },
                "Seconds to wait for another writer of the repository. Default: 0.")
            ->type_name("S")
            ->check(CLI::Range(0, 86400));
    }

    void add_create() {
        auto* create = add("create", "Back up a running node.", Arguments::Command::create);
        create
            ->add_option("-n,--node", arguments_.node, "The node (environment: RABBITMQ_NODENAME).")
            ->capture_default_str();
        add_connection(*create);
        create
            ->add_option_function<unsigned>(
                "--max-pause",
                [this](unsigned ms) { arguments_.max_pause = std::chrono::milliseconds(ms); },
                "Milliseconds that the node may be held still. Default: as the node is configured.")
            ->type_name("MS")
            ->check(CLI::Range(1, 10000));
        add_rate_limit(*create,
                       "Bytes a second to read at the most, such as 50MB or 1GiB; 0: no limit. "
                       "Default: as the node is configured.");
        add_retry_lock(*create);
        add_cluster(*create);
    }

    void add_cluster(CLI::App& create) {
        auto& cluster = arguments_.cluster;
        auto* all = create.add_flag("--cluster", cluster.all_nodes,
                                    "All nodes of the cluster, at one instant. Default where the "
                                    "node is a member of one.");
        auto* one = create.add_flag("--this-node", cluster.this_node,
                                    "This node only, also where it is a member of a cluster.");
        one->excludes(all);
        create
            .add_option("--allow-missing", cluster.allow_missing,
                        "Nodes that may be left out because they do not run. What only they have "
                        "is not in the backup.")
            ->type_name("NODE")
            ->delimiter(',')
            ->excludes(one);
    }

    void add_show() {
        auto* show = add("show", "Show what a backup holds.", Arguments::Command::show);
        add_backup(*show);
        show->add_option("--part", arguments_.cluster.part,
                         "Of a cluster's backup: what it holds of this node.")
            ->type_name("NODE");
        auto& wanted = arguments_.show;
        show->add_option("--vhost", wanted.vhost, "The queues of this vhost only.")
            ->type_name("NAME");
        show->add_flag("--all", arguments_.all,
                       "Every queue, not only those with the most messages.");
        show->add_flag("--files", wanted.files, "Every file of the node's data, too.");
        show->add_option("--without", wanted.without,
                         "Leave out the list of queues, of files, or both: queues,files.")
            ->type_name("PARTS")
            ->delimiter(',')
            ->take_all()
            ->check(CLI::IsMember({"queues", "files"}));
        auto* list = show->add_option("--list", wanted.list,
                                      "One list, and nothing else: queues, files, configuration "
                                      "(with its content), log or findings (of the last checks).");
        list->type_name("LIST")->check(
            CLI::IsMember({"queues", "files", "configuration", "log", "findings"}));
        add_list_part(*show, *list);
    }

    void add_list_part(CLI::App& show, CLI::Option& list) {
        auto& part = arguments_.show.part;
        auto* filter = show.add_option("--filter", part.filter,
                                       "Only what has this in its name, in whatever case.");
        filter->type_name("TEXT")->needs(&list);
        show.add_flag("--regex", part.regex, "The filter is a regular expression.")->needs(filter);
        auto* sort = show.add_option("--sort", part.sort, "Sort by a column, such as messages.");
        sort->type_name("COLUMN")->needs(&list);
        show.add_flag("--reverse", part.reverse, "The largest first.")->needs(sort);
        show.add_option("--offset", part.offset, "Leave out the first N.")
            ->type_name("N")
            ->check(count_problem)
            ->needs(&list);
        show.add_option("--limit", part.limit, "At most N.")
            ->type_name("N")
            ->check(count_problem)
            ->needs(&list);
    }

    void add_verify() {
        auto* verify = add("verify", "Read every byte of a backup again and check it.",
                           Arguments::Command::verify);
        add_backup(*verify);
        auto* all = verify->add_flag("--all", arguments_.all, "Every backup of the repository.")
                        ->excludes("ID");
        auto* boot = verify
                         ->add_flag("--boot", arguments_.boot,
                                    "Restore it into a scratch directory, boot an isolated broker "
                                    "from it and compare what that serves.")
                         ->excludes(all);
        verify
            ->add_option("--with", arguments_.cluster.with,
                         "Of a cluster's backup: further repositories that have parts of it, "
                         "mounted or copied here. A part that is nowhere is damage then.")
            ->type_name("DIR");
        for (auto* option : add_sandbox(*verify)) {
            option->needs(boot);
        }
    }

    // Of a command that boots a broker from a backup.
    std::vector<CLI::Option*> add_sandbox(CLI::App& subcommand) {
        auto& sandbox = arguments_.sandbox;
        return {
            subcommand
                .add_option(
                    "--rabbitmq-home", sandbox.rabbitmq_home,
                    "The RabbitMQ server to boot: the directory with sbin and plugins. Default: "
                    "the one installed here.")
                ->type_name("DIR"),
            subcommand
                .add_option("--scratch", sandbox.scratch,
                            "Where the scratch directory is made. Default: the environment's "
                            "TMPDIR, else /var/tmp.")
                ->type_name("DIR"),
            subcommand.add_flag("--any-version", sandbox.any_version,
                                "Boot a later version of RabbitMQ than the backup's, too."),
            subcommand
                .add_option_function<unsigned>(
                    "--boot-timeout",
                    [&sandbox](unsigned s) { sandbox.boot_timeout = std::chrono::seconds(s); },
                    "Seconds that the broker may take to boot. Default: 600.")
                ->type_name("S")
                ->check(CLI::Range(1, 86400)),
        };
    }

    void add_definitions() {
        auto* definitions =
            add("definitions", "Print a backup's definitions as JSON for import_definitions.",
                Arguments::Command::definitions);
        add_backup(*definitions);
        definitions->add_option("-o,--output", arguments_.output_file,
                                "Write to this file instead of standard output.");
    }

    void add_archive() {
        auto* archive =
            add("archive", "Write a backup as a tar of a repository that holds nothing else.",
                Arguments::Command::archive);
        add_backup(*archive);
        auto* output = archive->add_option("-o,--output", arguments_.output_file,
                                           "Write to this file instead of standard output.");
        output->type_name("FILE");
        archive
            ->add_flag("--framed", arguments_.framed,
                       "For programs: frames on standard output, one for each byte on standard "
                       "input.")
            ->excludes(output);
    }

    void add_note() {
        auto* note =
            add("note", "Write a note into the log of a backup.", Arguments::Command::note);
        note->add_option("ID", arguments_.backups, "A backup, the start of its ID, or latest.")
            ->required()
            ->expected(1);
        note->add_option("--text", arguments_.note.text, "What shall be remembered.")
            ->type_name("TEXT")
            ->required()
            ->check(text_problem);
        note->add_option_function<std::string>(
                "--when",
                [this](const std::string& text) { arguments_.note.when = parse_timestamp(text); },
                "When it happened, as 2026-11-22T07:32:41Z. Default: now.")
            ->type_name("TIME")
            ->check(time_problem);
    }

    void add_prune() {
        auto* prune =
            add("prune", "Delete the backups that no rule keeps.", Arguments::Command::prune);
        auto& rules = arguments_.prune.rules;
        const auto add_rule = [&](const char* option, unsigned& count, const char* description) {
            prune->add_option(option, count, description)
                ->type_name("N")
                ->check(CLI::Range(1, 1'000'000));
        };
        add_rule("--keep-last", rules.last, "Keep the last N backups.");
        add_rule("--keep-hourly", rules.hourly,
                 "Keep the last backup of each of the last N hours that have one.");
        add_rule("--keep-daily", rules.daily, "The same of days.");
        add_rule("--keep-weekly", rules.weekly, "The same of weeks, which begin on Monday.");
        add_rule("--keep-monthly", rules.monthly, "The same of months.");
        add_rule("--keep-yearly", rules.yearly, "The same of years.");
        add_retry_lock(*prune);
        prune->add_flag("--dry-run", arguments_.prune.dry_run,
                        "Say what would be deleted, and delete nothing.");
        prune
            ->add_option_function<std::string>(
                "--time-zone",
                [this](const std::string& zone) { arguments_.prune.utc = zone == "utc"; },
                "Where days begin: local (the default) or utc.")
            ->type_name("ZONE")
            ->check(CLI::IsMember({"local", "utc"}));
    }

    void add_restore() {
        auto* restore = add("restore",
                            "Make a node's directory again from a backup (--target-dir), or bring "
                            "queues of it into a running node (--into).",
                            Arguments::Command::restore);
        add_backup(*restore);
        restore
            ->add_option(
                "--target-dir", arguments_.target_dir,
                "The data directory to make, such as /var/lib/rabbitmq/mnesia/rabbit@HOST. Of a "
                "cluster's backup: the directory in which each node gets its own.")
            ->type_name("DIR");
        restore
            ->add_option("--part", arguments_.cluster.part,
                         "Of a cluster's backup this node only; --target-dir is its data "
                         "directory then.")
            ->type_name("NODE");
        restore->add_flag("--force", arguments_.force,
                          "What is there already is moved aside, never deleted.");
        restore->add_flag("--salvage", arguments_.salvage,
                          "Leave out what is damaged, and list it.");
        restore
            ->add_option("--owner", arguments_.owner,
                         "Whom the files shall belong to. Default, as root: the owner of what is "
                         "replaced, or of the directory around it.")
            ->type_name("USER[:GROUP]");
        add_restore_into(*restore);
    }

    void add_restore_into(CLI::App& restore) {
        auto& transfer = arguments_.transfer;
        auto* into = restore.add_option("--into", transfer.into,
                                        "The running node that gets queues and their messages.");
        into->type_name("NODE")->excludes("--target-dir")->excludes("--force");
        into->excludes("--salvage")->excludes("--owner")->excludes("--part");
        const auto with_into = [&](CLI::Option* option) { option->needs(into); };
        with_into(restore
                      .add_option("--queue", transfer.queues,
                                  "A queue, as VHOST/NAME (default vhost: //NAME) or a shell "
                                  "pattern of that. May be repeated.")
                      ->type_name("VHOST/NAME")
                      ->expected(1)
                      ->take_all());
        with_into(
            restore
                .add_option("--vhost", transfer.vhosts, "All queues of a vhost. May be repeated.")
                ->type_name("VHOST")
                ->expected(1)
                ->take_all());
        with_into(restore.add_flag("--all", arguments_.all, "All queues of the backup."));
        with_into(restore
                      .add_option("--as", transfer.as,
                                  "Another name for the one queue, which is bound to nothing.")
                      ->type_name("NAME"));
        with_into(restore
                      .add_option("--with", arguments_.cluster.with,
                                  "Of a cluster's backup: further repositories that have parts of "
                                  "it, mounted or copied here.")
                      ->type_name("DIR"));
        with_into(restore.add_flag("--definitions-only", transfer.definitions_only,
                                   "Declare what is missing; bring no messages."));
        with_into(restore.add_flag("--dry-run", transfer.dry_run,
                                   "Say what would be done, and change nothing."));
        with_into(restore
                      .add_option("--journal", transfer.journal,
                                  "File that says how far the restore is, until it is complete: "
                                  "with it the same command goes on where it was cut off. Default: "
                                  "a file in the directory of --scratch.")
                      ->type_name("FILE"));
        add_rate_limit(restore,
                       "With --into: bytes of messages a second at the most, such as 50MB; 0: no "
                       "limit.");
        add_connection(restore);
        add_sandbox(restore);
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
    if (arguments.json && arguments.output_file.empty()) {
        if (arguments.command == Arguments::Command::definitions) {
            throw Error(ErrorCode::usage, "definitions --json needs --output",
                        "Definitions on standard output are JSON already, one document.");
        }
        if (arguments.command == Arguments::Command::archive) {
            throw Error(ErrorCode::usage, "archive --json needs --output",
                        "Standard output has the archive itself.");
        }
    }
    if (arguments.command == Arguments::Command::prune) {
        check_prune(arguments.prune);
    }
    if (arguments.command == Arguments::Command::restore) {
        check_restore(arguments);
    }
    return arguments;
}

}  // namespace hot_backup
