#include "sidecar/cli/show_list.hpp"

#include "sidecar/cli/choose_backup.hpp"
#include "sidecar/cli/list_part.hpp"
#include "sidecar/cli/show_queues.hpp"
#include "sidecar/engine/stored_snapshot.hpp"
#include "sidecar/engine/stored_statistics.hpp"
#include "sidecar/repository/file_reader.hpp"
#include "sidecar/repository/marks.hpp"

#include <array>
#include <functional>
#include <iterator>
#include <tuple>

namespace hot_backup {
namespace {

// Of a configuration file this much is shown: who has a longer one does not read it here.
constexpr std::size_t most_content = std::size_t{256} << 10;

// Where the lists come from.
struct Backup {
    const Repository& repository;
    const std::string& id;
    const ShowArguments& wanted;
};

// Prints the wanted part of a list, with `print` for each item, and the summary of all of it.
template <class Item, std::size_t columns_size, class NameOf, class Print>
void print_part(const Backup& backup, std::vector<Item> items,
                const std::array<Column<Item>, columns_size>& columns, NameOf&& name_of,
                Print&& print, Output& output) {
    const auto& wanted = backup.wanted;
    const auto part = part_of<Item>(std::move(items), columns, name_of, wanted.part);
    for (const auto& item : part.items) {
        print(item);
    }
    const auto last = wanted.part.offset + part.items.size();
    if (part.items.size() < part.total) {
        output.line(std::to_string(part.items.size()) + " of " + std::to_string(part.matched) +
                    " shown" + (last < part.matched ? ": see --offset and --limit" : "") +
                    (part.matched < part.total
                         ? ", " + std::to_string(part.total) + " without the filter"
                         : ""));
    }
    output.summary({{"backup", backup.id},
                    {"list", wanted.list},
                    {"total", part.total},
                    {"matched", part.matched},
                    {"offset", wanted.part.offset},
                    {"shown", part.items.size()}});
}

// An item of a list as an object of its own: with its type first.
OrderedJson typed(const char* type, OrderedJson object) {
    OrderedJson json{{"message_type", type}};
    json.update(object);
    return json;
}

// Queues

// What is not known comes before everything that is.
constexpr std::array<Column<StoredQueue>, 9> queue_columns{{
    {"vhost", [](const auto& a, const auto& b) { return a.statistics.vhost < b.statistics.vhost; }},
    {"name", [](const auto& a, const auto& b) { return a.statistics.name < b.statistics.name; }},
    {"type",
     [](const auto& a, const auto& b) {
         return std::tie(a.type, a.version) < std::tie(b.type, b.version);
     }},
    {"messages", [](const auto& a, const auto& b) { return messages_of(a) < messages_of(b); }},
    {"ready", [](const auto& a, const auto& b) { return a.statistics.ready < b.statistics.ready; }},
    {"unacknowledged",
     [](const auto& a, const auto& b) {
         return a.statistics.unacknowledged < b.statistics.unacknowledged;
     }},
    {"bytes", [](const auto& a, const auto& b) { return a.statistics.bytes < b.statistics.bytes; }},
    {"first_offset",
     [](const auto& a, const auto& b) {
         return a.statistics.first_offset < b.statistics.first_offset;
     }},
    {"last_offset",
     [](const auto& a, const auto& b) {
         return a.statistics.last_offset < b.statistics.last_offset;
     }},
}};

void print_queue(const StoredQueue& queue, Output& output) {
    const auto& known = queue.statistics;
    output.line(pad(count_text(known.ready), 12) + pad(count_text(known.unacknowledged), 10) +
                pad(known.bytes ? format_bytes(*known.bytes) : "-", 10) +
                pad(type_text(queue), 12) + printable(known.name) + "  in " +
                printable(known.vhost));
    OrderedJson json{{"vhost", known.vhost}};
    json.update(to_json(queue));
    if (const auto messages = messages_of(queue)) {
        json["messages"] = *messages;
    }
    output.message(typed("queue", std::move(json)));
}

void list_queues_of(const Backup& backup, Output& output) {
    std::vector<StoredQueue> queues;
    for (auto& vhost : read_vhosts(backup.repository, backup.id, backup.wanted.vhost)) {
        std::move(vhost.queues.begin(), vhost.queues.end(), std::back_inserter(queues));
    }
    output.line("READY       UNACKED   SIZE      TYPE        QUEUE");
    print_part(
        backup, std::move(queues), queue_columns,
        [](const StoredQueue& queue) -> const std::string& { return queue.statistics.name; },
        [&](const StoredQueue& queue) { print_queue(queue, output); }, output);
}

// Files

constexpr std::array<Column<FileEntry>, 3> file_columns{{
    {"file", [](const auto& a, const auto& b) { return a.path < b.path; }},
    {"kind", [](const auto& a, const auto& b) { return a.kind < b.kind; }},
    {"size", [](const auto& a, const auto& b) { return a.size < b.size; }},
}};

std::vector<FileEntry> read_files(const Backup& backup,
                                  const std::function<bool(const FileEntry&)>& is_wanted) {
    auto manifest = backup.repository.read_manifest(backup.id);
    std::vector<FileEntry> files;
    while (auto file = manifest.next_file()) {
        if (is_wanted(*file)) {
            files.push_back(std::move(*file));
        }
    }
    return files;
}

const std::string& path_of(const FileEntry& file) {
    return file.path;
}

void list_files(const Backup& backup, Output& output) {
    print_part(
        backup, read_files(backup, [](const FileEntry&) { return true; }), file_columns, path_of,
        [&](const FileEntry& file) {
            print_file(file, output);
            output.message(typed("file", to_json(file)));
        },
        output);
}

std::string read_content(const Backup& backup, const FileEntry& file) {
    FileReader reader(backup.repository, file, backup.id);
    std::string content;
    while (content.size() < most_content) {
        const auto piece = reader.next();
        if (!piece) {
            break;
        }
        content += piece->substr(0, most_content - content.size());
    }
    return content;
}

void print_lines(std::string_view content, Output& output) {
    while (!content.empty()) {
        const auto end = content.find('\n');
        output.line("    " + printable(content.substr(0, end)));
        content.remove_prefix(end == std::string_view::npos ? content.size() : end + 1);
    }
}

void print_configuration(const Backup& backup, const FileEntry& file, Output& output) {
    const auto content = read_content(backup, file);
    print_file(file, output);
    print_lines(content, output);
    auto json = to_json(file);
    json.erase("checksums");
    json["content"] = content;
    json["truncated"] = content.size() < file.size;
    output.message(typed("configuration", std::move(json)));
}

void list_configuration(const Backup& backup, Output& output) {
    print_part(
        backup,
        read_files(backup, [](const FileEntry& file) { return file.kind == "configuration"; }),
        file_columns, path_of,
        [&](const FileEntry& file) { print_configuration(backup, file, output); }, output);
}

// The log

constexpr std::array<Column<LogEvent>, 2> log_columns{{
    {"when", [](const auto& a, const auto& b) { return a.when < b.when; }},
    {"event", [](const auto& a, const auto& b) { return a.event < b.event; }},
}};

void list_log(const Backup& backup, Output& output) {
    const auto& repository = backup.repository;
    auto events = repository.has_cluster(backup.id)
                      ? repository.read_cluster(backup.id).summary.log
                      : repository.read_manifest(backup.id).summary().log;
    auto later = read_later_log(backup.repository, backup.id);
    std::move(later.begin(), later.end(), std::back_inserter(events));
    // What is noted of the time before the backup, such as a hook, comes first.
    std::stable_sort(events.begin(), events.end(), log_columns.front().less);
    print_part(
        backup, std::move(events), log_columns,
        [](const LogEvent& event) -> const std::string& { return event.text; },
        [&](const LogEvent& event) {
            output.line(to_text(event.when) + "  " + pad(printable(event.event), 12) +
                        printable(event.text));
            output.message(typed("event", to_json(event)));
        },
        output);
}

// Findings

struct StoredFinding {
    std::string check;  // "verified", "booted"
    Json finding;
};

constexpr std::array<Column<StoredFinding>, 1> finding_columns{{
    {"check", [](const auto& a, const auto& b) { return a.check < b.check; }},
}};

void list_findings(const Backup& backup, Output& output) {
    std::vector<StoredFinding> findings;
    const auto add = [&](const char* check, CheckKind kind) {
        for (auto& finding : read_findings(backup.repository, backup.id, kind)) {
            findings.push_back({check, std::move(finding)});
        }
    };
    add("verified", CheckKind::verified);
    add("booted", CheckKind::booted);
    print_part(
        backup, std::move(findings), finding_columns,
        [](const StoredFinding& finding) { return to_line(finding.finding); },
        [&](const StoredFinding& finding) {
            output.line(pad(finding.check, 10) + printable(to_line(finding.finding)));
            output.message({{"message_type", "finding"},
                            {"check", finding.check},
                            {"finding", finding.finding}});
        },
        output);
}

// Of a cluster, each node has counted the queues that it leads.
std::vector<QueueStatistics> read_all_statistics(const Repository& repository,
                                                 const std::string& backup_id) {
    std::vector<QueueStatistics> statistics;
    const auto add = [&](QueueStatistics queue) { statistics.push_back(std::move(queue)); };
    if (!repository.has_cluster(backup_id)) {
        read_statistics(repository, backup_id, add);
    }
    for (const auto& part : repository.parts_here(backup_id)) {
        read_statistics(repository, part, add);
    }
    return statistics;
}

}  // namespace

void show_list(const Repository& repository, const std::string& backup_id,
               const ShowArguments& wanted, Output& output) {
    const Backup backup{repository, backup_id, wanted};
    if (wanted.list == "queues") {
        list_queues_of(backup, output);
    } else if (wanted.list == "files") {
        list_files(backup, output);
    } else if (wanted.list == "configuration") {
        list_configuration(backup, output);
    } else if (wanted.list == "log") {
        list_log(backup, output);
    } else {
        list_findings(backup, output);
    }
}

std::vector<StoredVhost> read_vhosts(const Repository& repository, const std::string& backup_id,
                                     const std::optional<std::string>& name) {
    const auto part = choose_part(repository, backup_id, {});
    StoredSnapshot stored(repository, part);
    Snapshot snapshot(stored, SnapshotIndex::scan(stored));
    auto vhosts = list_queues(snapshot, repository.read_manifest(part).summary().rabbitmq_version,
                              read_all_statistics(repository, backup_id));
    if (name) {
        std::erase_if(vhosts, [&](const StoredVhost& vhost) { return vhost.name != *name; });
        if (vhosts.empty()) {
            throw Error(ErrorCode::failed, "backup " + backup_id + " has no vhost " + *name,
                        "See `show` for the vhosts that it has.");
        }
    }
    return vhosts;
}

void print_file(const FileEntry& file, Output& output) {
    output.line("  " + pad(format_bytes(file.size), 10) + printable(file.path) +
                (file.target.empty() ? "" : " -> " + printable(file.target)) +
                (file.origin ? "  (" + printable(file.origin->path) + ")" : ""));
}

OrderedJson to_json(const FileEntry& file) {
    OrderedJson json{{"file", file.path}, {"kind", file.kind}, {"size", file.size}};
    if (!file.target.empty()) {
        json["target"] = file.target;
    }
    if (file.origin) {
        json["origin"] = file.origin->path;
    }
    if (!file.extents.empty()) {
        json["checksums"] = OrderedJson::array();
        for (const auto& extent : file.extents) {
            json["checksums"].push_back(extent.digest.hex());
        }
    }
    return json;
}

}  // namespace hot_backup
