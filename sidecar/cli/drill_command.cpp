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
    output.message(json);
    return json;
}

OrderedJson summary_of(const std::string& id, const DrillReport& drill,
                       const SandboxOptions& options) {
    OrderedJson counts{{"queues_checked", drill.queues.queues},
                       {"messages", drill.queues.messages},
                       {"streams", drill.queues.streams},
                       {"queues_without_count", drill.queues.uncounted}};
    for (const auto& [section, count] : drill.definitions) {
        counts[section] = count;
    }
    return {{"backup", id},
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
}

void print(const std::string& id, const DrillReport& drill, Output& output) {
    output.line(id +
                (drill.findings > 0     ? "  boots, but serves something else: "
                 : drill.not_proven > 0 ? "  boots, with counts that prove nothing: "
                                        : "  boots and serves all of it: ") +
                plural(drill.queues.queues, "queue", "queues") + " with " +
                plural(drill.queues.messages, "message", "messages") + ", of them " +
                plural(drill.queues.streams, "stream", "streams"));
    output.line("  " + format_bytes(drill.bytes) + " in " + plural(drill.files, "file", "files") +
                " restored in " + format_duration(drill.restore_time.count()) + ", booted in " +
                format_duration(drill.boot_time.count()) + ", checked in " +
                format_duration(drill.check_time.count()));
    if (drill.not_proven > 0) {
        output.line("  " + plural(drill.not_proven, "queue has", "queues have") +
                    " another number of messages than the node had counted some seconds before");
    }
    if (drill.queues.uncounted > 0) {
        output.line("  the backup does not say how many messages were in " +
                    plural(drill.queues.uncounted, "queue", "queues"));
    }
}

}  // namespace

ExitCode drill_command(const Arguments& arguments, Output& output) {
    const auto repository = Repository::open(posix_file_system(), arguments.repository);
    const auto id = choose_backup(repository, arguments.backups.front(), output);
    const auto summary = repository.read_manifest(id).summary();
    const auto options = sandbox_options(arguments.sandbox, summary.rabbitmq_version);

    BootCallbacks callbacks;
    callbacks.interrupt = throw_if_interrupted;
    callbacks.progress = [&](std::uint64_t done, std::uint64_t total) {
        output.progress("restore " + id, done, total);
    };
    callbacks.restored = [&](const RestoredNode&) { output.progress("boot " + id, 0, 0); };
    const auto begin = std::chrono::steady_clock::now();
    std::vector<OrderedJson> findings;
    const auto record = [&](std::uint64_t count, std::uint64_t bytes) {
        const auto check = finished_check(begin, count, bytes, options.rabbitmq.version);
        return record_or_warn(repository, id, CheckKind::booted, check, findings, output);
    };
    DrillReport drill;
    try {
        drill =
            hold_drill(repository, id, summary, options, callbacks, [&](const Difference& found) {
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
    print(id, drill, output);
    auto json = summary_of(id, drill, options);
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
