#include "sidecar/cli/restored_node.hpp"

#include <string_view>
#include <utility>
#include <vector>

namespace hot_backup {
namespace {

using Environment = std::vector<std::pair<std::string, std::string>>;

// As a word of a shell's command line.
std::string quoted(const std::string& text) {
    constexpr std::string_view plain =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-";
    if (!text.empty() && text.find_first_not_of(plain) == std::string::npos) {
        return text;
    }
    std::string result = "'";
    for (const char c : text) {
        result += c == '\'' ? "'\\''" : std::string{c};
    }
    return result + "'";
}

// What leads a node to the restored directory, whatever it is configured for.
Environment environment_of(const RestoredNode& node) {
    Environment environment{{"RABBITMQ_NODENAME", node.node},
                            {"RABBITMQ_MNESIA_DIR", node.data_directory}};
    if (node.feature_flags) {
        environment.emplace_back("RABBITMQ_FEATURE_FLAGS_FILE", *node.feature_flags);
    }
    for (const MovedPart& part : node.moved_parts) {
        if (part.role == "quorum") {
            environment.emplace_back("RABBITMQ_QUORUM_DIR", part.to);
        } else if (part.role == "stream") {
            environment.emplace_back("RABBITMQ_STREAM_DIR", part.to);
        } else if (part.role == "quorum_wal") {
            environment.emplace_back("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                                     "-ra wal_data_dir \"" + part.to.string() + "\"");
        }
    }
    return environment;
}

// Whether the node finds everything as it is configured.
bool is_where_it_was(const RestoredNode& node) {
    return node.data_directory == node.original_data_directory && node.moved_parts.empty();
}

// The command that starts the node, in lines.
std::vector<std::string> start_command(const RestoredNode& node) {
    if (is_where_it_was(node)) {
        return {"systemctl start rabbitmq-server"};
    }
    std::vector<std::string> lines;
    for (const auto& [name, value] : environment_of(node)) {
        lines.push_back(name + "=" + quoted(value) + " \\");
    }
    lines.emplace_back("rabbitmq-server");
    return lines;
}

void print_lost(const std::string& id, const LostFile& lost, Output& output) {
    output.line("  LOST " + printable(lost.path) + ": " + printable(lost.reason));
    output.message({{"message_type", "damage"},
                    {"backup", id},
                    {"what", "file"},
                    {"name", lost.path},
                    {"reason", lost.reason}});
}

}  // namespace

void print(const RestoredNode& node, const std::string& id, double seconds, Output& output) {
    output.line("restored " + id + " of " + printable(node.node) + ", RabbitMQ " +
                printable(node.rabbitmq_version));
    output.line("  " + format_bytes(node.bytes) + " in " + plural(node.files, "file", "files") +
                ", " + format_duration(seconds));
    output.line("  data directory  " + printable(node.data_directory.string()));
    if (node.feature_flags) {
        output.line("  feature flags   " + printable(node.feature_flags->string()));
    }
    if (node.configuration) {
        output.line("  configuration   " + printable(node.configuration->string()) +
                    " (as the node had it; copy what you want to /etc/rabbitmq)");
    }
    for (const MovedPart& part : node.moved_parts) {
        output.line("  moved           " + printable(part.from.string()) + " is now " +
                    printable(part.to.string()));
    }
    for (const Path& path : node.moved_aside) {
        output.line("  moved aside     " + printable(path.string()));
    }
    for (const LostFile& lost : node.lost) {
        print_lost(id, lost, output);
    }
    if (!is_where_it_was(node)) {
        output.line("Make sure that the original node does not run: it has the same name.");
    }
    output.line("Start it with:");
    output.line("");
    for (const std::string& line : start_command(node)) {
        output.line("  " + printable(line));
    }
}

OrderedJson to_json(const RestoredNode& node, const std::string& id, double seconds) {
    OrderedJson json{{"backup", id},
                     {"node", node.node},
                     {"rabbitmq_version", node.rabbitmq_version},
                     {"files", node.files},
                     {"bytes", node.bytes},
                     {"seconds", seconds},
                     {"data_dir", node.data_directory.string()},
                     {"original_data_dir", node.original_data_directory.string()}};
    if (node.feature_flags) {
        json["feature_flags"] = node.feature_flags->string();
    }
    if (node.configuration) {
        json["configuration"] = node.configuration->string();
    }
    json["moved"] = OrderedJson::array();
    for (const MovedPart& part : node.moved_parts) {
        json["moved"].push_back(
            {{"role", part.role}, {"from", part.from.string()}, {"to", part.to.string()}});
    }
    json["moved_aside"] = OrderedJson::array();
    for (const Path& path : node.moved_aside) {
        json["moved_aside"].push_back(path.string());
    }
    json["lost"] = OrderedJson::array();
    for (const LostFile& lost : node.lost) {
        json["lost"].push_back({{"file", lost.path}, {"reason", lost.reason}});
    }
    json["environment"] = OrderedJson::object();
    for (const auto& [name, value] : environment_of(node)) {
        json["environment"][name] = value;
    }
    std::string command;
    for (const std::string& line : start_command(node)) {
        command += (command.empty() ? "" : "\n") + line;
    }
    json["start"] = command;
    return json;
}

}  // namespace hot_backup
