#include "erlang_port/cookie.hpp"
#include "erlang_port/node_channel.hpp"
#include "sidecar/cli/commands.hpp"
#include "sidecar/cli/create_cluster_command.hpp"
#include "sidecar/engine/backup.hpp"
#include "sidecar/engine/interrupt.hpp"

#include <memory>

namespace hot_backup {
namespace {

double seconds_between(Timestamp begin, Timestamp end) {
    return std::chrono::duration<double>(end - begin).count();
}

// ", 310.0 MB/s"; nothing for a time that no clock could measure.
std::string describe_speed(std::uint64_t bytes, double seconds) {
    if (seconds < 0.001) {
        return {};
    }
    const auto speed = static_cast<std::uint64_t>(static_cast<double>(bytes) / seconds);
    return ", " + format_bytes(speed) + "/s";
}

}  // namespace

ExitCode create_command(const Arguments& arguments, Output& output) {
    erlang::NodeOptions node;
    node.node = arguments.node;
    node.long_names = arguments.long_names;
    node.cookie = erlang::find_cookie(arguments.cookie_file);
    node.interrupt = throw_if_interrupted;
    Broker broker(std::make_unique<erlang::NodeChannel>(node), throw_if_interrupted);
    if (broker.identity().members.size() > 1) {
        if (!arguments.cluster.this_node) {
            return create_cluster_command(broker, arguments, output);
        }
    } else if (arguments.cluster.all_nodes || !arguments.cluster.allow_missing.empty()) {
        throw Error(ErrorCode::usage, printable(arguments.node) + " is a member of no cluster",
                    "Leave out --cluster and --allow-missing.");
    }

    const auto result = back_up(broker, posix_file_system(),
                                {.repository = arguments.repository,
                                 .max_pause = arguments.max_pause,
                                 .rate_limit = arguments.rate_limit,
                                 .lock_patience = arguments.retry_lock},
                                [&](std::string_view phase, std::uint64_t done,
                                    std::uint64_t total) { output.progress(phase, done, total); });

    const auto& summary = result.summary;
    output.line("backup " + result.id + " of " + printable(summary.node));
    output.line("  " + describe_counts(summary.counts));
    const double seconds = seconds_between(summary.started, summary.finished);
    output.line("  " + format_bytes(summary.bytes) + " in " +
                plural(summary.files, "file", "files") + ", " + format_duration(seconds) +
                describe_speed(summary.bytes, seconds));
    if (summary.cut) {
        output.line("  pause " + describe_cut(*summary.cut));
    }
    for (const auto& warning : result.warnings) {
        output.warning(warning);
    }
    auto json = to_json(result.id, summary);
    json["warnings"] = result.warnings;
    output.summary(std::move(json));
    return exit_done;
}

}  // namespace hot_backup
