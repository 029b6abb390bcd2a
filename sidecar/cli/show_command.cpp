#include "sidecar/cli/commands.hpp"
#include "sidecar/repository/repository.hpp"

namespace hot_backup {
namespace {

OrderedJson file_json(const FileEntry& file) {
    OrderedJson json{{"file", file.path}, {"kind", file.kind}, {"size", file.size}};
    if (file.origin) {
        json["origin"] = file.origin->path;
    }
    return json;
}

void show_summary(const std::string& id, const Summary& summary, Output& output) {
    output.line("backup      " + id + " (" + printable(summary.kind) + ")");
    output.line("node        " + printable(summary.node) + ", cluster " +
                printable(summary.cluster));
    output.line("instant     " + to_text(summary.instant));
    output.line("made        " + to_text(summary.started) + " to " + to_text(summary.finished) +
                ", by version " + printable(summary.program));
    output.line("versions    RabbitMQ " + printable(summary.rabbitmq_version) + ", Erlang " +
                printable(summary.erlang_version) + ", plugin " +
                printable(summary.plugin_version));
    output.line("size        " + format_bytes(summary.bytes) + " in " +
                std::to_string(summary.files) + " files; " + format_bytes(summary.stored_bytes) +
                " stored");
    output.line("metadata    " + printable(summary.metadata.store) + ": " +
                describe_counts(summary.counts));
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

ExitCode show_command(const Arguments& arguments, Output& output) {
    const auto repository = Repository::open(posix_file_system(), arguments.repository);
    auto manifest = repository.read_manifest(repository.resolve(arguments.backups.front()));
    const auto& summary = manifest.summary();

    show_summary(manifest.backup_id(), summary, output);
    output.line("files");
    auto files = OrderedJson::array();
    while (const auto file = manifest.next_file()) {
        output.line("  " + pad(format_bytes(file->size), 10) + printable(file->path) +
                    (file->origin ? "  (" + printable(file->origin->path) + ")" : ""));
        if (output.json()) {
            files.push_back(file_json(*file));
        }
    }

    auto json = to_json(manifest.backup_id(), summary);
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
    json["file_list"] = std::move(files);
    output.summary(std::move(json));
    return exit_done;
}

}  // namespace hot_backup
