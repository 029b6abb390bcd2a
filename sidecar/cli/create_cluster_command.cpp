#include "sidecar/cli/create_cluster_command.hpp"

#include "sidecar/cli/cluster_output.hpp"
#include "sidecar/cli/commands.hpp"
#include "sidecar/engine/fields.hpp"
#include "sidecar/engine/interrupt.hpp"

#include <algorithm>
#include <functional>
#include <optional>

namespace hot_backup {
namespace {

using namespace std::chrono_literals;

constexpr auto quick = 15s;
// The coordinator asks every member whether it runs, and one may not answer.
constexpr auto beginning = 180s;
constexpr auto look_again = 300ms;

std::uint64_t begin(Broker& broker, const Arguments& arguments) {
    std::vector<std::pair<std::string_view, erlang::Term>> order{
        {"allow_missing", binaries(arguments.cluster.allow_missing)},
        {"lock_patience", erlang::integer(static_cast<std::uint64_t>(
                              std::chrono::milliseconds(arguments.retry_lock).count()))}};
    if (arguments.repository_given) {
        order.emplace_back("repository", erlang::binary(arguments.repository));
    }
    if (arguments.max_pause) {
        order.emplace_back(
            "max_pause", erlang::integer(static_cast<std::uint64_t>(arguments.max_pause->count())));
    }
    if (arguments.rate_limit) {
        order.emplace_back("rate_limit", erlang::integer(*arguments.rate_limit));
    }
    const auto answer = broker.call("cluster_begin", make_map(std::move(order)), beginning);
    return MapFields("answer to cluster_begin", answer).count("job");
}

erlang::Map job_map(std::uint64_t job) {
    return make_map({{"job", erlang::integer(job)}});
}

void show_progress(const MapFields& status, Output& output) {
    std::uint64_t done = 0;
    std::uint64_t total = 0;
    bool all_known = true;
    for (const auto& node : status.maps("nodes")) {
        done += node.count("done");
        total += node.count("total");
        all_known = all_known && node.count("total") > 0;
    }
    output.progress(status.text("phase"), done, all_known ? total : 0);
}

struct Finished {
    std::string backup;
    std::string manifest;
    std::vector<std::string> warnings;
};

Finished await(Broker& broker, std::uint64_t job, Output& output) {
    for (;;) {
        const auto answer = broker.call("cluster_status", job_map(job), quick);
        const MapFields status("answer to cluster_status", answer);
        const auto state = status.atom("state");
        if (state == "done") {
            return {status.text("backup"), status.text("manifest"), status.texts("warnings")};
        }
        if (state != "running") {
            throw error_of(answer, "error");
        }
        show_progress(status, output);
        broker.wait(look_again);
    }
}

// What is interrupted before its job is known could not be cancelled, and would go on: the answer
// is waited for, for a while.
std::function<void()> patient_interrupt() {
    return [interrupted = std::optional<erlang::Clock::time_point>()]() mutable {
        try {
            throw_if_interrupted();
        } catch (const Error&) {
            const auto now = erlang::Clock::now();
            interrupted = interrupted.value_or(now);
            if (now > *interrupted + beginning) {
                throw;
            }
        }
    };
}

// What the operator has interrupted goes on in no node.
void cancel(Broker& broker, std::uint64_t job) noexcept {
    broker.on_interrupt({});
    try {
        broker.call("cluster_cancel", job_map(job), quick);
    } catch (const std::exception&) {
        // The nodes are on their own, and end by themselves what nobody coordinates.
    }
}

void describe(const std::string& id, const ClusterManifest& manifest,
              std::vector<std::string> warnings, Output& output) {
    const auto& summary = manifest.summary;
    const std::chrono::duration<double> seconds = summary.finished - summary.started;
    output.line("backup " + id + " of cluster " + printable(summary.cluster) + ", " +
                plural(manifest.parts.size(), "node", "nodes"));
    output.line("  " + describe_counts(summary.counts));
    output.line("  " + format_bytes(summary.bytes) + " in " +
                plural(summary.files, "file", "files") + ", " + format_duration(seconds.count()));
    output.line("  pause " + describe_stop(manifest));
    for (const auto& part : manifest.parts) {
        output.line("  " + printable(part.node) + ": " + format_bytes(part.bytes) + ", pause " +
                    format_pause(part.cut.pause_us) + ", in " + printable(part.path) + " on " +
                    printable(part.host));
    }
    for (const auto& missing : manifest.missing) {
        const auto queues = std::ranges::count_if(manifest.affected, [&](const auto& queue) {
            return std::ranges::find(queue.members, missing.node) != queue.members.end();
        });
        warnings.push_back(printable(missing.node) +
                           " could not take part and is not in the backup: what only it has is "
                           "lost with it; " +
                           plural(static_cast<std::uint64_t>(queues), "queue", "queues") +
                           " had a member there: see `show`");
    }
    for (const auto& warning : warnings) {
        output.warning(warning);
    }
    auto json = to_json(id, manifest);
    json["warnings"] = warnings;
    output.summary(std::move(json));
}

}  // namespace

ExitCode create_cluster_command(Broker& broker, const Arguments& arguments, Output& output) {
    broker.on_interrupt(patient_interrupt());
    const auto job = begin(broker, arguments);
    broker.on_interrupt(throw_if_interrupted);
    Finished finished;
    try {
        finished = await(broker, job, output);
    } catch (const Error& error) {
        if (error.code() == ErrorCode::interrupted) {
            cancel(broker, job);
        }
        throw;
    }
    const auto manifest = parse_cluster_manifest(finished.manifest, finished.backup,
                                                 "the manifest of " + broker.identity().node);
    describe(finished.backup, manifest, std::move(finished.warnings), output);
    return exit_done;
}

}  // namespace hot_backup
