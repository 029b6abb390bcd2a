#include "sidecar/cli/choose_backup.hpp"
#include "sidecar/cli/commands.hpp"
#include "sidecar/cli/marks_output.hpp"
#include "sidecar/cli/sandbox_options.hpp"
#include "sidecar/engine/interrupt.hpp"
#include "sidecar/sandbox/restore_drill.hpp"

namespace hot_backup {
namespace {

// Returns it as it is for programs.
OrderedJson report_difference(const std::string& id, const Difference& difference, Output& output) {
    const bool finding = difference.excuse.empty();
    output.line((finding ? "  DIFFERENT " : "  not proven: ") + printable(to_text(difference)));
    OrderedJson json{{"message_type", finding ? "difference" : "note"},
                     {"backup", id},
                     {"kind", difference.kind},
                     {"vhost", difference.vhost},
                     {"name", difference.name},
                     {"aspect", difference.aspect},
                     {"expected", difference.expected},
                     {"found", difference.found}};
    if (!finding) {
        json["reason"] = difference.excuse;
    }
    if (!difference.node.empty()) {
        json["node"] = difference.node;
    }
    output.message(json);
    return json;
}

NodeTotals totals_of(const DrillReport& drill, const std::string& node) {
    const auto found = drill.queues.nodes.find(node);
    return found == drill.queues.nodes.end() ? NodeTotals{} : found->second;
}

// Of a cluster's backup.
OrderedJson nodes_of(const DrillReport& drill) {
    auto nodes = OrderedJson::array();
    for (const auto& node : drill.nodes) {
        const auto totals = totals_of(drill, node.node);
        nodes.push_back({{"node", node.node},
                         {"backup", node.backup},
                         {"files", node.files},
                         {"bytes", node.bytes},
                         {"queues", totals.queues},
                         {"messages", totals.messages},
                         {"replicas", totals.replicas}});
    }
    return nodes;
}

OrderedJson summary_of(const WholeBackup& backup, const DrillReport& drill,
                       const SandboxOptions& options) {
    OrderedJson counts{{"queues_checked", drill.queues.queues},
                       {"messages", drill.queues.messages},
                       {"streams", drill.queues.streams},
                       {"queues_without_count", drill.queues.uncounted},
                       {"queues_out_of_reach", drill.queues.out_of_reach}};
    for (const auto& [section, count] : drill.definitions) {
        counts[section] = count;
    }
    OrderedJson json{{"backup", backup.id},
                     {"booted", true},
                     {"rabbitmq_version", options.rabbitmq.version},
                     {"differences", drill.findings},
                     {"not_proven", drill.not_proven},
                     {"files", drill.files},
                     {"bytes", drill.bytes},
                     {"counts", counts},
                     {"restore_seconds", drill.restore_time.count()},
                     {"boot_seconds", drill.boot_time.count()},
                     {"check_seconds", drill.check_time.count()}};
    if (backup.of_cluster) {
        json["nodes"] = nodes_of(drill);
        json["missing"] = OrderedJson::array();
        for (const auto& missing : backup.missing) {
            json["missing"].push_back(missing.node);
        }
    }
    return json;
}

const char* verdict_on(const DrillReport& drill) {
    if (drill.findings > 0) {
        return ", but serves something else: ";
    }
    if (drill.not_proven > 0) {
        return ", with counts that prove nothing: ";
    }
    return drill.queues.out_of_reach > 0 ? " and serves all that it has the nodes for: "
                                         : " and serves all of it: ";
}

void print_nodes(const WholeBackup& backup, const DrillReport& drill, Output& output) {
    for (const auto& node : drill.nodes) {
        const auto totals = totals_of(drill, node.node);
        output.line("  " + printable(node.node) + ": " + format_bytes(node.bytes) + " in " +
                    plural(node.files, "file", "files") + "; " +
                    plural(totals.queues, "queue", "queues") + " with " +
                    plural(totals.messages, "message", "messages") + ", " +
                    plural(totals.replicas, "replica of a stream", "replicas of streams"));
    }
    for (const auto& missing : backup.missing) {
        output.line("  " + printable(missing.node) + " is not in the backup");
    }
}

void print(const WholeBackup& backup, const DrillReport& drill, Output& output) {
    output.line(
        backup.id + "  boots" +
        (backup.of_cluster ? " as a cluster of " + std::to_string(drill.nodes.size()) : "") +
        verdict_on(drill) + plural(drill.queues.queues, "queue", "queues") + " with " +
        plural(drill.queues.messages, "message", "messages") + ", of them " +
        plural(drill.queues.streams, "stream", "streams"));
    if (backup.of_cluster) {
        print_nodes(backup, drill, output);
    }
    output.line("  " + format_bytes(drill.bytes) + " in " + plural(drill.files, "file", "files") +
                " restored in " + format_duration(drill.restore_time.count()) + ", booted in " +
                format_duration(drill.boot_time.count()) + ", checked in " +
                format_duration(drill.check_time.count()));
    if (drill.not_proven > 0) {
        output.line("  " + plural(drill.not_proven, "queue has", "queues have") +
                    " another number of messages than the node had counted some seconds before");
    }
    if (drill.queues.out_of_reach > 0) {
        output.line("  " +
                    plural(drill.queues.out_of_reach, "queue does not run, because",
                           "queues do not run, because") +
                    " too few of the nodes for that are in the backup");
    }
    if (drill.queues.uncounted > 0) {
        output.line("  the backup does not say how many messages were in " +
                    plural(drill.queues.uncounted, "queue", "queues"));
    }
}

}  // namespace

ExitCode drill_command(const Arguments& arguments, Output& output) {
    const auto repositories = open_repositories(arguments);
    const auto& repository = repositories.front();
    const auto id = choose_backup(repository, arguments.backups.front(), output);
    const auto backup = find_whole_backup(repositories, id);
    const auto options = sandbox_options(arguments.sandbox, backup.rabbitmq_version);

    auto callbacks = boot_callbacks(backup, output);
    callbacks.interrupt = throw_if_interrupted;
    const auto begin = std::chrono::steady_clock::now();
    std::vector<OrderedJson> findings;
    const auto record = [&](std::uint64_t count, std::uint64_t bytes) {
        const auto check = finished_check(begin, count, bytes, options.rabbitmq.version);
        return record_or_warn(repository, id, CheckKind::booted, check, findings, output);
    };
    DrillReport drill;
    try {
        drill = hold_drill(backup, options, callbacks, [&](const Difference& found) {
            auto json = report_difference(id, found, output);
            if (findings.size() < most_kept_findings) {
                findings.push_back(std::move(json));
            }
        });
    } catch (const Error& error) {
        // Where the drill met damage it has its result; what else kept it from its end has none.
        if (error.code() == ErrorCode::damaged) {
            findings.push_back({{"message_type", "error"}, {"message", error.what()}});
            record(1, 0);
        }
        throw;
    }
    print(backup, drill, output);
    auto json = summary_of(backup, drill, options);
    json["recorded"] = record(drill.findings, drill.bytes);
    output.summary(std::move(json));
    if (drill.findings > 0) {
        throw Error(ErrorCode::damaged,
                    plural(drill.findings, "difference", "differences") + " between the backup " +
                        id + " and what a broker booted from it serves",
                    "Make a new backup and try that one; if it differs too, report it with this "
                    "output.");
    }
    return exit_done;
}

}  // namespace hot_backup
