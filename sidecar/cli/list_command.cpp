#include "sidecar/cli/commands.hpp"
#include "sidecar/repository/repository.hpp"

#include <algorithm>

namespace hot_backup {
std::string describe_counts(const Counts& counts) {
    return plural(counts.vhosts, "vhost", "vhosts") + ", " + plural(counts.users, "user", "users") +
           ", " + plural(counts.queues, "queue", "queues") + ", " +
           plural(counts.exchanges, "exchange", "exchanges") + ", " +
           plural(counts.bindings, "binding", "bindings") + ", " +
           plural(counts.policies, "policy", "policies");
}

std::string describe_cut(const CutSummary& cut) {
    return format_pause(cut.pause_us) + " (" + format_pause(cut.acquisition_us) +
           " to stop everything, " + format_pause(cut.hold_us) + " held), " +
           plural(cut.attempts, "attempt", "attempts") + ", " +
           plural(cut.passes, "pass", "passes");
}

OrderedJson to_json(const std::string& backup_id, const Summary& summary) {
    OrderedJson json{{"backup", backup_id},
                     {"kind", summary.kind},
                     {"node", summary.node},
                     {"cluster", summary.cluster},
                     {"started", to_text(summary.started)},
                     {"finished", to_text(summary.finished)},
                     {"instant", to_text(summary.instant)},
                     {"rabbitmq_version", summary.rabbitmq_version},
                     {"erlang_version", summary.erlang_version},
                     {"plugin_version", summary.plugin_version},
                     {"files", summary.files},
                     {"bytes", summary.bytes},
                     {"stored_bytes", summary.stored_bytes},
                     {"counts",
                      {{"vhosts", summary.counts.vhosts},
                       {"users", summary.counts.users},
                       {"queues", summary.counts.queues},
                       {"exchanges", summary.counts.exchanges},
                       {"bindings", summary.counts.bindings},
                       {"policies", summary.counts.policies}}}};
    if (const auto& cut = summary.cut) {
        json["cut"] = {{"acquisition_us", cut->acquisition_us},
                       {"hold_us", cut->hold_us},
                       {"pause_us", cut->pause_us},
                       {"attempts", cut->attempts},
                       {"passes", cut->passes},
                       {"files", cut->files},
                       {"memory_bytes", cut->memory_bytes},
                       {"tail_bytes", cut->tail_bytes}};
    }
    return json;
}

// A backup whose manifest cannot be read is listed as such, not left out: it takes space, and the
// operator has to know.
ExitCode list_command(const Arguments& arguments, Output& output) {
    const auto repository = Repository::open(posix_file_system(), arguments.repository);
    const auto ids = repository.list();
    if (ids.empty()) {
        output.line("no backups in " + repository.directory().string());
    } else {
        output.line("ID                    SIZE      PAUSE      QUEUES  NODE");
    }
    std::size_t unreadable = 0;
    auto code = ErrorCode::failed;
    for (const auto& id : ids) {
        try {
            const auto summary = repository.read_manifest(id).summary();
            const auto pause = summary.cut ? format_pause(summary.cut->pause_us) : "-";
            output.line(id + "  " + pad(format_bytes(summary.bytes), 8) + "  " + pad(pause, 9) +
                        "  " + pad(std::to_string(summary.counts.queues), 6) + "  " +
                        printable(summary.node));
            output.summary(to_json(id, summary));
        } catch (const Error& error) {
            if (error.code() == ErrorCode::not_found) {
                continue;  // deleted since it was listed
            }
            ++unreadable;
            if (error.code() == ErrorCode::damaged) {
                code = error.code();
            }
            output.line(id + "  UNREADABLE: " + printable(error.what()));
            output.summary({{"backup", id}, {"unreadable", error.what()}});
        }
    }
    if (unreadable > 0) {
        throw Error(code,
                    std::to_string(unreadable) + " of " + std::to_string(ids.size()) +
                        " backups in " + repository.directory().string() + " cannot be read",
                    "Run `rabbitmq-hot-backup verify --all` for the details.");
    }
    return exit_done;
}

}  // namespace hot_backup
