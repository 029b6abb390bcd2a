#include "sidecar/sandbox/restore_drill.hpp"

#include "erlang_port/node_channel.hpp"
#include "sidecar/engine/broker_snapshot.hpp"
#include "sidecar/engine/stored_snapshot.hpp"
#include "sidecar/engine/stored_statistics.hpp"
#include "sidecar/sandbox/queue_startup.hpp"

#include <memory>

namespace hot_backup {

DrillReport hold_drill(const Repository& repository, const std::string& backup_id,
                       const Summary& summary, const SandboxOptions& options,
                       const BootCallbacks& callbacks, const ReportDifference& report) {
    using Clock = std::chrono::steady_clock;
    ExpectedQueues expected{
        {}, {}, {}, summary.messages ? summary.messages->counted : summary.instant};

    BootCallbacks steps = callbacks;
    steps.restored = [&](const RestoredNode& restored) {
        expected.streams = read_stream_offsets(restored.data_directory);
        expected.last_writes = last_writes(repository, backup_id, restored.data_directory);
        if (callbacks.restored) {
            callbacks.restored(restored);
        }
    };
    BootedBackup booted(repository, backup_id, summary, options, steps);

    DrillReport drill;
    const ReportDifference count = [&](Difference difference) {
        ++(difference.excuse.empty() ? drill.findings : drill.not_proven);
        report(std::move(difference));
    };
    const auto begin = Clock::now();
    booted.keep_log_of([&] {
        Broker broker(std::make_unique<erlang::NodeChannel>(booted.sandbox().connection()),
                      callbacks.interrupt);
        const auto served = wait_for_queues(broker);

        StoredSnapshot stored(repository, backup_id);
        Snapshot in_backup(stored, SnapshotIndex::scan(stored));
        BrokerSnapshot live(broker);
        Snapshot in_broker(live, SnapshotIndex::scan(live));
        drill.definitions =
            find_definition_differences(in_backup, in_broker, summary.rabbitmq_version, count);
        expected.vhosts =
            list_stored_queues(repository, backup_id, in_backup, summary.rabbitmq_version);
        drill.queues = find_queue_differences(expected, served, count);
    });
    drill.check_time = Clock::now() - begin;
    drill.restore_time = booted.restore_time();
    drill.boot_time = booted.boot_time();
    drill.files = booted.restored().files;
    drill.bytes = booted.restored().bytes;
    return drill;
}

}  // namespace hot_backup
