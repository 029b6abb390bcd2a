#include "sidecar/cli/cluster_output.hpp"
#include "sidecar/cli/cluster_parts_output.hpp"
#include "sidecar/cli/commands.hpp"
#include "sidecar/cli/marks_output.hpp"

#include <array>
#include <map>

namespace hot_backup {
namespace {

double seconds_between(Timestamp begin, Timestamp end) {
    return std::chrono::duration<double>(end - begin).count();
}

}  // namespace

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
                     {"seconds", seconds_between(summary.started, summary.finished)},
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
    if (const auto& messages = summary.messages) {
        json["messages"] = {{"queues", messages->queues},
                            {"ready", messages->ready},
                            {"unacknowledged", messages->unacknowledged},
                            {"bytes", messages->bytes}};
    }
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

namespace {

std::string messages_text(const std::optional<MessageTotals>& messages) {
    return messages ? std::to_string(messages->ready + messages->unacknowledged) : "-";
}

constexpr std::size_t columns = 9;

std::string row(const std::array<std::string, columns>& cells) {
    constexpr std::array<std::size_t, columns> widths{20, 6, 8, 9, 6, 9, 22, 9, 0};
    std::string text;
    for (std::size_t i = 0; i < columns; ++i) {
        text += (i == 0 ? "" : "  ") + pad(cells[i], widths[i]);
    }
    return text;
}

// What `list` says of a backup, with --json and without.
void list_backup(const std::string& id, const Summary& summary, const Marks& marks, Timestamp now,
                 Output& output) {
    const auto age = std::chrono::floor<std::chrono::seconds>(now - summary.instant);
    output.line(row({id, format_age(age), format_bytes(summary.bytes),
                     summary.cut ? format_pause(summary.cut->pause_us) : "-",
                     std::to_string(summary.counts.queues), messages_text(summary.messages),
                     describe_checks(marks, now), marks.protection ? "yes" : "-",
                     printable(summary.node)}));
    auto json = to_json(id, summary);
    json["age_seconds"] = age.count();
    add_marks(json, marks);
    output.summary(std::move(json));
}

void list_cluster(const Repository& repository, const std::string& id, bool with_parts,
                  const Marks& marks, Timestamp now, Output& output) {
    const auto manifest = repository.read_cluster(id);
    const auto& summary = manifest.summary;
    const auto age = std::chrono::floor<std::chrono::seconds>(now - summary.instant);
    output.line(
        row({id, format_age(age), format_bytes(summary.bytes), format_pause(summary.stop.pause_us),
             std::to_string(summary.counts.queues), messages_text(summary.messages),
             describe_checks(marks, now), marks.protection ? "yes" : "-",
             "cluster of " + std::to_string(manifest.parts.size()) + ": " +
                 printable(summary.cluster)}));
    const std::vector<Repository> at_hand{repository};
    const auto parts = place_parts(at_hand, id, manifest);
    if (with_parts) {
        print_parts(parts, output);
    }
    auto json = to_json(id, manifest);
    add_states(json, parts);
    json["age_seconds"] = age.count();
    add_marks(json, marks);
    output.summary(std::move(json));
}

// They take space, and somebody has to settle them.
void list_parts_in_doubt(const Repository& repository, Output& output) {
    std::map<std::string, std::vector<PartHere>> clusters;
    for (auto& part : repository.in_doubt()) {
        clusters[part.cluster_backup].push_back(std::move(part));
    }
    for (const auto& [id, parts] : clusters) {
        std::string nodes;
        OrderedJson json{{"message_type", "in_doubt"}, {"backup", id}};
        for (const auto& part : parts) {
            std::string node = part.backup;  // where nobody can tell
            try {
                node = repository.read_manifest(part.backup).summary().node;
            } catch (const Error&) {
            }
            nodes += (nodes.empty() ? "" : ", ") + printable(node);
            json["parts"].push_back({{"node", node}, {"backup", part.backup}});
        }
        output.line(id + "  in doubt (" + nodes + "), not a backup");
        output.message(json);
    }
}

}  // namespace

namespace {

// What there is of the path: a repository is made by its first backup.
Path existing_part(Path path) {
    while (path.has_relative_path() && !posix_file_system().status(path)) {
        path = path.parent_path();
    }
    return path;
}

void report_space(const Path& path, Output& output) {
    const auto space = posix_file_system().space(existing_part(path));
    output.message({{"message_type", "repository"},
                    {"path", path.string()},
                    {"free_bytes", space.available},
                    {"total_bytes", space.total}});
}

Repository open_or_report_space(const Path& path, Output& output) {
    try {
        return Repository::open(posix_file_system(), path);
    } catch (const Error& error) {
        if (error.code() == ErrorCode::not_found) {
            report_space(std::filesystem::absolute(path).lexically_normal(), output);
        }
        throw;
    }
}

}  // namespace

// A backup whose manifest cannot be read is listed as such, not left out: it takes space, and the
// operator has to know.
ExitCode list_command(const Arguments& arguments, Output& output) {
    const auto repository = open_or_report_space(arguments.repository, output);
    const auto ids = repository.list();
    if (ids.empty()) {
        output.line("no backups in " + repository.directory().string());
    } else {
        output.line(row(
            {"ID", "AGE", "SIZE", "PAUSE", "QUEUES", "MESSAGES", "VERIFIED", "PROTECTED", "NODE"}));
    }
    std::size_t unreadable = 0;
    auto code = ErrorCode::failed;
    for (const auto& id : ids) {
        try {
            if (repository.has_cluster(id)) {
                list_cluster(repository, id, arguments.cluster.list_parts,
                             read_marks(repository, id), now(), output);
            } else {
                list_backup(id, repository.read_manifest(id).summary(), read_marks(repository, id),
                            now(), output);
            }
        } catch (const Error& error) {
            if (error.code() == ErrorCode::not_found) {
                continue;  // deleted since it was listed
            }
            ++unreadable;
            if (error.code() == ErrorCode::damaged) {
                code = error.code();
            }
            output.line(id + "  UNREADABLE: " + printable(error.what()));
            OrderedJson json{{"backup", id}, {"unreadable", error.what()}};
            add_marks(json, read_marks(repository, id));
            output.summary(std::move(json));
        }
    }
    list_parts_in_doubt(repository, output);
    // Last, so that its space is that of now.
    report_space(repository.directory(), output);
    if (unreadable > 0) {
        throw Error(code,
                    std::to_string(unreadable) + " of " + std::to_string(ids.size()) +
                        " backups in " + repository.directory().string() + " cannot be read",
                    "Run `rabbitmq-hot-backup verify --all` for the details.");
    }
    return exit_done;
}

}  // namespace hot_backup
