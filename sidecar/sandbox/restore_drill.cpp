#include "sidecar/sandbox/restore_drill.hpp"

#include "sidecar/engine/broker_snapshot.hpp"
#include "sidecar/engine/stored_snapshot.hpp"
#include "sidecar/engine/stored_statistics.hpp"
#include "sidecar/sandbox/queue_startup.hpp"
#include "sidecar/sandbox/sandbox_brokers.hpp"

namespace hot_backup {
namespace {

NodeFiles read_files(const BackedUpNode& node, const RestoredNode& restored) {
    const auto& summary = node.summary;
    return {summary.node, read_stream_offsets(restored.data_directory),
            last_writes(*node.repository, node.backup, restored.data_directory),
            summary.messages ? summary.messages->counted : summary.instant};
}

// What the nodes had counted. One of them counts each queue; of a stream several know offsets,
// which nobody needs.
void read_counts(const WholeBackup& backup, Snapshot& snapshot, ExpectedQueues& expected) {
    std::vector<QueueStatistics> statistics;
    for (const auto& node : backup.nodes) {
        read_statistics(*node.repository, node.backup, [&](QueueStatistics queue) {
            const auto by =
                expected.counted_by.try_emplace({queue.vhost, queue.name}, node.summary.node);
            if (by.second) {
                statistics.push_back(std::move(queue));
            }
        });
    }
    expected.vhosts = list_queues(snapshot, backup.rabbitmq_version, std::move(statistics));
}

}  // namespace

DrillReport hold_drill(const WholeBackup& backup, const SandboxOptions& options,
                       const BootCallbacks& callbacks, const ReportDifference& report) {
    using Clock = std::chrono::steady_clock;
    ExpectedQueues expected;

    BootCallbacks steps = callbacks;
    steps.restored = [&](const std::vector<RestoredNode>& restored) {
        for (std::size_t number = 0; number < restored.size(); ++number) {
            expected.nodes.push_back(read_files(backup.nodes[number], restored[number]));
        }
        if (callbacks.restored) {
            callbacks.restored(restored);
        }
    };
    BootedBackup booted(backup, options, steps);

    DrillReport drill;
    const ReportDifference count = [&](Difference difference) {
        ++(difference.excuse.empty() ? drill.findings : drill.not_proven);
        report(std::move(difference));
    };
    const auto begin = Clock::now();
    booted.keep_log_of([&] {
        SandboxBrokers brokers(booted.sandbox(), callbacks.interrupt);
        const auto served = wait_for_queues(brokers.all(), expected);

        const auto& metadata = backup.with_metadata();
        StoredSnapshot stored(*metadata.repository, metadata.backup);
        Snapshot in_backup(stored, SnapshotIndex::scan(stored));
        BrokerSnapshot live(brokers.first());
        Snapshot in_broker(live, SnapshotIndex::scan(live));
        drill.definitions =
            find_definition_differences(in_backup, in_broker, backup.rabbitmq_version, count);
        read_counts(backup, in_backup, expected);
        drill.queues = find_queue_differences(expected, served, count);
    });
    drill.not_proven -= drill.queues.out_of_reach;
    drill.check_time = Clock::now() - begin;
    drill.restore_time = booted.restore_time();
    drill.boot_time = booted.boot_time();
    for (std::size_t number = 0; number < backup.nodes.size(); ++number) {
        const auto& restored = booted.restored()[number];
        drill.nodes.push_back(
            {restored.node, backup.nodes[number].backup, restored.files, restored.bytes});
        drill.files += restored.files;
        drill.bytes += restored.bytes;
    }
    return drill;
}

}  // namespace hot_backup
