#include "sidecar/cli/choose_backup.hpp"
#include "sidecar/cli/commands.hpp"
#include "sidecar/cli/marks_output.hpp"
#include "sidecar/cli/show_cluster.hpp"
#include "sidecar/cli/show_list.hpp"
#include "sidecar/cli/show_queues.hpp"

#include <algorithm>

namespace hot_backup {
namespace {

void show_summary(const std::string& id, const Summary& summary, Output& output) {
    output.line("backup      " + id + " (" + printable(summary.kind) + ")");
    output.line("node        " + printable(summary.node) + ", cluster " +
                printable(summary.cluster));
    if (summary.part) {
        output.line("part of     cluster backup " + summary.part->cluster_backup);
    }
    output.line("instant     " + to_text(summary.instant));
    output.line("made        " + to_text(summary.started) + " to " + to_text(summary.finished) +
                ", by version " + printable(summary.program));
    output.line("versions    RabbitMQ " + printable(summary.rabbitmq_version) + ", Erlang " +
                printable(summary.erlang_version) + ", plugin " +
                printable(summary.plugin_version));
    output.line("size        " + format_bytes(summary.bytes) + " in " +
                std::to_string(summary.files) + " files; " + format_bytes(summary.stored_bytes) +
                " stored");
    output.line("pause       " +
                (summary.cut ? describe_cut(*summary.cut) : "none: the backup holds no messages"));
    if (!has_metadata(summary)) {
        output.line("metadata    in the part of another node");
    } else {
        output.line("metadata    " + printable(summary.metadata.store) + ": " +
                    describe_counts(summary.counts));
    }
    std::string tables;
    for (const auto& table : summary.metadata.tables) {
        tables += (tables.empty() ? "" : " ") + printable(table);
    }
    output.line("tables      " + tables);
    for (const auto& skipped : summary.metadata.skipped) {
        output.line("left out    " + printable(skipped.table) + ": " + printable(skipped.reason));
    }
    std::string plugins;
    for (const auto& plugin : summary.plugins) {
        plugins += (plugins.empty() ? "" : " ") + printable(plugin.name);
    }
    output.line("plugins     " + plugins);
}

}  // namespace

void show_marks(const Marks& marks, Output& output) {
    if (const auto& protection = marks.protection) {
        output.line("protected   " +
                    (protection->when ? "since " + to_text(*protection->when)
                                      : "by a mark that cannot be read") +
                    (protection->reason.empty() ? "" : ": " + printable(protection->reason)));
    }
    if (!marks.verified && !marks.booted) {
        output.line("verified    never");
    }
    if (marks.verified) {
        output.line("verified    " + describe_check(*marks.verified, CheckKind::verified));
    }
    if (marks.booted) {
        output.line("verified    " + describe_check(*marks.booted, CheckKind::booted));
    }
}

namespace {

// What there is of the node's own files, in numbers: they are too many to be listed.
class DataFiles {
public:
    // Whether the file is one of them.
    bool add(const FileEntry& file) {
        if (file.kind == "data") {
            ++files_;
            bytes_ += file.size;
        } else if (file.kind == "directory") {
            ++directories_;
        } else if (file.kind == "symlink") {
            ++links_;
        } else {
            return false;
        }
        return true;
    }

    void print(Output& output) const {
        if (files_ + directories_ + links_ > 0) {
            output.line("data        " + plural(files_, "file", "files") + ", " +
                        format_bytes(bytes_) + "; " +
                        plural(directories_, "directory", "directories") + ", " +
                        plural(links_, "symbolic link", "symbolic links"));
        }
    }

private:
    std::uint64_t files_ = 0;
    std::uint64_t bytes_ = 0;
    std::uint64_t directories_ = 0;
    std::uint64_t links_ = 0;
};

// Returns the list for programs.
OrderedJson show_files(ManifestReader& manifest, bool all, Output& output) {
    output.line("files");
    DataFiles data;
    auto list = OrderedJson::array();
    while (const auto file = manifest.next_file()) {
        if (!data.add(*file) || all) {
            print_file(*file, output);
        }
        if (output.json()) {
            list.push_back(to_json(*file));
        }
    }
    data.print(output);
    return list;
}

OrderedJson details_json(const Summary& summary) {
    OrderedJson json;
    json["program"] = summary.program;
    json["data_dir"] = summary.data_dir;
    json["metadata"] = {{"store", summary.metadata.store},
                        {"activation_us", summary.metadata.activation_us},
                        {"items", summary.metadata.items},
                        {"tables", summary.metadata.tables}};
    json["metadata"]["skipped"] = OrderedJson::array();
    for (const auto& skipped : summary.metadata.skipped) {
        json["metadata"]["skipped"].push_back(
            {{"table", skipped.table}, {"reason", skipped.reason}});
    }
    json["plugins"] = OrderedJson::array();
    for (const auto& plugin : summary.plugins) {
        json["plugins"].push_back({{"name", plugin.name}, {"version", plugin.version}});
    }
    return json;
}

}  // namespace

ExitCode show_command(const Arguments& arguments, Output& output) {
    const auto& wanted = arguments.show;
    const auto is_left_out = [&](const char* part) {
        return std::find(wanted.without.begin(), wanted.without.end(), part) !=
               wanted.without.end();
    };
    const auto repository = Repository::open(posix_file_system(), arguments.repository);
    auto id = choose_backup(repository, arguments.backups.front(), output);
    if (repository.has_cluster(id) && arguments.cluster.part.empty()) {
        show_cluster(repository, id, arguments, output);
        return exit_done;
    }
    id = choose_part(repository, id, arguments.cluster.part);
    if (!wanted.list.empty()) {
        show_list(repository, id, wanted, output);
        return exit_done;
    }
    auto manifest = repository.read_manifest(id);
    const auto& summary = manifest.summary();

    const auto marks = read_marks(repository, id);
    show_summary(id, summary, output);
    show_marks(marks, output);
    std::optional<OrderedJson> files;
    if (!is_left_out("files")) {
        files = show_files(manifest, wanted.files, output);
    }
    // Queues are metadata, which one part has for all of them.
    const auto vhosts = has_metadata(summary) ? read_vhosts(repository, id, wanted.vhost)
                                              : std::vector<StoredVhost>{};
    const auto queues = is_left_out("queues") ? QueueList::without : QueueList::with;
    if (queues == QueueList::with) {
        print_vhosts(vhosts, arguments.all, output);
    } else {
        print_vhost_totals(vhosts, output);
    }

    if (output.json()) {
        auto json = to_json(id, summary);
        json.update(details_json(summary));
        add_marks(json, marks);
        json["vhosts"] = to_json(vhosts, queues);
        if (files) {
            json["file_list"] = std::move(*files);
        }
        output.summary(std::move(json));
    }
    return exit_done;
}

}  // namespace hot_backup
