#include "sidecar/engine/backup.hpp"

#include "sidecar/definitions/snapshot_reader.hpp"
#include "sidecar/engine/image.hpp"
#include "sidecar/engine/making_log.hpp"
#include "sidecar/engine/node_files.hpp"
#include "sidecar/engine/part.hpp"
#include "sidecar/engine/self_check.hpp"
#include "sidecar/engine/version.hpp"
#include "sidecar/repository/backup_writer.hpp"

#include <chrono>
#include <memory>
#include <optional>

namespace hot_backup {
namespace {

using Clock = std::chrono::steady_clock;

// Passes progress on: all of it to whoever listens, and some five states a second to the plugin.
class ProgressMeter {
public:
    ProgressMeter(Broker& broker, std::uint64_t job, const ProgressListener& listener)
        : broker_(broker), job_(job), listener_(listener) {}

    void operator()(const std::string& phase, std::uint64_t done, std::uint64_t total = 0) {
        if (listener_) {
            listener_(phase, done, total);
        }
        const auto now = Clock::now();
        if (phase != phase_ || now - last_ >= std::chrono::milliseconds(200)) {
            phase_ = phase;
            last_ = now;
            broker_.report_progress(job_, phase, done, total);
        }
    }

private:
    Broker& broker_;
    std::uint64_t job_;
    const ProgressListener& listener_;
    std::string phase_;
    Clock::time_point last_;
};

// Nodes that share a repository write one after the other, but for parts of one cluster backup.
// Tells the log once what is waited for, and the plugin all the while that it goes on.
std::unique_ptr<Lock> take_lock(Broker& broker, const Repository& repository,
                                const BackupRequest& request, ProgressMeter& progress,
                                MakingLog& log) {
    std::optional<Clock::time_point> begin;
    auto lock = wait_for_lock(
        repository.file_system(), repository.directory(), "create", request.lock_patience,
        [&](std::chrono::milliseconds pause, const Error& locked) {
            if (!begin) {
                begin = Clock::now();
                log.waiting(locked);
            }
            progress("waiting for the repository", 0);
            broker.wait(pause);
        },
        request.part ? request.part->cluster_backup : std::string());
    if (begin) {
        log.waited(*begin);
    }
    return lock;
}

// What is backed up of the node, and how.
struct Plan {
    NodeDescription node;
    std::vector<CaptureRoot> roots;
    std::chrono::milliseconds max_pause{};
    std::uint64_t rate_limit = 0;
};

// The request's word counts, or else the node's.
Plan make_plan(Broker& broker, const BackupRequest& request, const Job& job,
               const SelfCheck& self_check) {
    Plan plan;
    plan.node = broker.describe();
    plan.roots = roots_of(plan.node, request.repository);
    self_check.check_layout(plan.node);
    plan.max_pause = request.max_pause.value_or(job.max_pause);
    plan.rate_limit = request.rate_limit.value_or(job.rate_limit);
    return plan;
}

Summary begin_summary(const NodeIdentity& identity, const NodeDescription& description) {
    Summary summary;
    summary.program = program_version;
    summary.node = identity.node;
    summary.cluster = identity.cluster;
    summary.rabbitmq_version = identity.rabbitmq_version;
    summary.erlang_version = identity.erlang_version;
    summary.plugin_version = identity.plugin_version;
    summary.plugins = description.plugins;
    summary.data_dir = description.data_dir;
    return summary;
}

// Stores the node's configuration files. One that the node could not read is a warning, not a
// failure: the backup of everything else is worth having.
void write_configuration(BackupWriter& writer, const std::vector<ConfigurationFile>& files,
                         std::vector<std::string>& warnings) {
    for (const auto& file : files) {
        if (!file.content) {
            warnings.push_back("configuration file " + file.path +
                               " is not in the backup: " + file.error);
            continue;
        }
        const auto path = "configuration/" + file.role;
        if (!is_path_in_backup(path)) {
            warnings.push_back("configuration file " + file.path +
                               " is not in the backup: its name is not UTF-8");
            continue;
        }
        auto stored =
            writer.add_file(path, "configuration", Origin{file.path, file.mode, file.mtime});
        stored.append(*file.content);
        stored.close();
    }
}

// Takes note of a payload, and so makes sure that it is one. What is wrong here came from the
// plugin: nothing on a disk is damaged.
void index_payload(SnapshotIndex& index, std::string_view payload) {
    try {
        index.add(payload);
    } catch (const Error& error) {
        throw Error(ErrorCode::failed,
                    std::string("the plugin sent metadata that cannot be read: ") + error.what(),
                    "Please report this with the broker's log; no backup was made.");
    }
}

void add(MessageTotals& totals, const QueueStatistics& queue) {
    totals.queues += queue.ready || queue.unacknowledged ? 1U : 0U;
    totals.ready += queue.ready.value_or(0);
    totals.unacknowledged += queue.unacknowledged.value_or(0);
    totals.bytes += queue.bytes.value_or(0);
}

// What the node has counted of its queues.
struct Counted {
    std::string lines;  // docs/format.md, "statistics/queues"
    MessageTotals totals;
};

Counted count_messages(Broker& broker) {
    Counted counted;
    counted.totals.counted = now();
    broker.stream_statistics([&](const QueueStatistics& queue) {
        counted.lines += to_line(queue);
        add(counted.totals, queue);
    });
    return counted;
}

// How many messages each queue has, for `show`, and all of them, for `list`.
void write_statistics(BackupWriter& writer, const Counted& counted, Summary& summary) {
    auto statistics = writer.add_file("statistics/queues", "statistics");
    statistics.append(counted.lines);
    statistics.close();
    // Without queues there are no messages; with queues that the node knew nothing of, nobody
    // knows.
    if (counted.totals.queues > 0 || summary.counts.queues == 0) {
        summary.messages = counted.totals;
    }
}

// What the writing of one backup needs.
struct Work {
    Broker& broker;
    const Plan& plan;
    BackupWriter& writer;
    const SelfCheck& self_check;
    const SpaceGuard& space;
    ProgressMeter& progress;
    std::vector<std::string>& warnings;
    MakingLog& log;
    Part* part;  // null: it is no cluster's
};

// Streams the checkpoint into metadata/snapshot: docs/format.md, "metadata/snapshot".
void write_metadata(const Work& work, const Checkpoint& checkpoint, Summary& summary) {
    summary.metadata.store = checkpoint.store;
    summary.metadata.activation_us = checkpoint.activation_us;
    summary.metadata.tables = checkpoint.tables;
    summary.metadata.skipped = checkpoint.skipped;
    auto snapshot = work.writer.add_file("metadata/snapshot", "metadata");
    SnapshotIndex index;
    const auto counts = work.broker.stream_checkpoint([&](std::string_view payload) {
        index_payload(index, payload);
        work.self_check.check_records(payload);
        snapshot.append(chunk_header(payload));
        snapshot.append(payload);
        work.progress("metadata", snapshot.size());
    });
    if (counts.items != index.items()) {
        throw Error(ErrorCode::failed,
                    "the plugin sent " + std::to_string(index.items()) +
                        " metadata items but counts " + std::to_string(counts.items),
                    "Please report this with the broker's log; no backup was made.");
    }
    const auto bytes = snapshot.size();
    snapshot.close();
    summary.metadata.messages = counts.messages;
    summary.metadata.items = counts.items;
    work.log.metadata(summary.metadata, bytes);
    const auto& standing = index.counts();
    summary.counts = {.vhosts = standing[Category::vhosts],
                      .users = standing[Category::users],
                      .queues = standing[Category::queues],
                      .exchanges = standing[Category::exchanges],
                      .bindings = standing[Category::bindings],
                      .policies = standing[Category::policies]};
}

// The part of a backup that is of one instant: the node's files, its metadata and its counts.
void write_instant(const Work& work, Summary& summary) {
    auto& broker = work.broker;
    CopyOptions options;
    options.rate_limit = work.plan.rate_limit;
    options.look_up = [&] { broker.look_up(); };
    LiveCopy copy(
        work.plan.roots, single_files_of(work.plan.node),
        [&](std::string_view bytes) { return work.writer.store(bytes); }, options);
    const auto all = copy.remainder();
    work.space.check(all.memory_bytes + all.tail_bytes);
    // Before the instant: what a queue counts that was not used for a while is then exact, whatever
    // begins right after it.
    Counted counted;
    ImageCalls calls;
    calls.listener = [&](const std::string& phase, std::uint64_t done, std::uint64_t total) {
        work.progress(phase, done, total);
        work.space.check();
    };
    calls.before_stop = [&] {
        counted = count_messages(broker);
        work.log.counted(counted.totals);
    };
    if (work.part) {
        calls.ready = [&](const Remainder& left) { return work.part->ready(left); };
    }
    const auto image = take_image(broker, copy, work.plan.max_pause, calls, work.log);
    summary.instant = image.instant;
    summary.cut = image.cut;
    if (summary.part) {
        summary.part->metadata = image.checkpoint.has_metadata;
    }
    if (has_metadata(summary)) {
        write_metadata(work, image.checkpoint, summary);
    }
    broker.end_checkpoint();
    write_statistics(work.writer, counted, summary);

    for (auto& entry : copy.take_entries()) {
        work.writer.add_entry(std::move(entry));
    }
    if (copy.unwatched_directories() > 0) {
        work.warnings.push_back(std::to_string(copy.unwatched_directories()) +
                                " directories could not be watched, which made the pause longer: "
                                "raise fs.inotify.max_user_watches");
    }
}

Summary write_and_publish(const Work& work) {
    work.log.begun(work.broker.identity(), work.plan.max_pause, work.plan.rate_limit);
    write_configuration(work.writer, work.plan.node.configuration, work.warnings);
    work.log.configuration(work.plan.node.configuration.size());
    auto summary = begin_summary(work.broker.identity(), work.plan.node);
    if (work.part) {
        summary.kind = part_kind;
        summary.part = {work.part->order().cluster_backup, summary.node, false};
    }
    write_instant(work, summary);
    if (auto warning = work.self_check.warning(); !warning.empty()) {
        work.warnings.push_back(std::move(warning));
    }
    work.progress("publishing", 0);
    for (const auto& warning : work.warnings) {
        work.log.warning(warning);
    }
    work.log.publishing();
    summary.log = work.log.take();
    return work.writer.publish(std::move(summary), now(), [&] { work.broker.keep_alive(); });
}

// Without a job there is nothing to tell: it was refused, and was not the plugin's own order.
// Otherwise gives the checkpoint back and tells the plugin that the job failed, if it can still be
// told: it notices the end of the session in any case. But a port program's session goes on, and
// its checkpoint with it.
void report_failure(Broker& broker, std::optional<std::uint64_t> job, const Error& error) noexcept {
    if (!job) {
        return;
    }
    broker.on_interrupt({});
    try {
        broker.end_checkpoint();
    } catch (const std::exception&) {
        // Mnesia may be busy; the job has ended all the same.
    }
    try {
        JobOutcome outcome;
        outcome.error = &error;
        broker.end_job(*job, outcome);
    } catch (const std::exception&) {
        // The first error is the one to report.
    }
}

}  // namespace

BackupResult back_up(Broker& broker, FileSystem& file_system, const BackupRequest& request,
                     const ProgressListener& listener) {
    auto number = request.job;
    try {
        const auto job = broker.begin_job(request.repository, request.job);
        number = job.number;
        std::optional<Part> part;
        if (request.part) {
            part.emplace(broker, *request.part, job.number);
        }
        // What is wrong with the request is said before anything is made or waited for.
        const SelfCheck self_check(broker.identity());
        auto plan = make_plan(broker, request, job, self_check);
        const auto repository = Repository::open_or_create(file_system, request.repository);
        ProgressMeter progress(broker, job.number, listener);
        MakingLog log;
        const auto lock = take_lock(broker, repository, request, progress, log);
        if (log.has_waited()) {
            plan = make_plan(broker, request, job, self_check);
        }
        const SpaceGuard space(file_system, repository.directory(), plan.roots,
                               plan.node.disk_free_limit);
        BackupWriter::Options options;
        if (request.part) {
            options.cluster_backup = request.part->cluster_backup;
        }
        BackupWriter writer(repository, *lock, now(), options);

        BackupResult result;
        result.id = writer.id();
        result.summary = write_and_publish({broker, plan, writer, self_check, space, progress,
                                            result.warnings, log, part ? &*part : nullptr});
        if (part) {
            progress("waiting for the other nodes", 0);
            // Whether it becomes a backup is no longer decided here.
            broker.on_interrupt({});
            part->conclude(repository, *lock, writer, result.summary, result.warnings);
        }

        // The backup exists from here on: a plugin that cannot be told any more does not undo it.
        try {
            broker.on_interrupt({});
            broker.end_job(job.number, {result.id, result.summary.bytes, nullptr});
        } catch (const Error& error) {
            result.warnings.push_back(std::string("the node does not know of the backup's end: ") +
                                      error.what());
        }
        return result;
    } catch (const Error& error) {
        report_failure(broker, number, error);
        throw;
    } catch (const std::exception& exception) {
        const Error error(ErrorCode::failed, std::string("unexpected: ") + exception.what(),
                          "Please report this.");
        report_failure(broker, number, error);
        throw error;
    }
}

}  // namespace hot_backup
