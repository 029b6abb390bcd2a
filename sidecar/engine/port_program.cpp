#include "sidecar/engine/port_program.hpp"

#include "sidecar/engine/backup.hpp"
#include "sidecar/engine/interrupt.hpp"
#include "sidecar/engine/oom_score.hpp"

#include <iostream>
#include <optional>
#include <utility>

namespace hot_backup {
namespace {

void log_line(const std::string& text) {
    std::cerr << "rabbitmq-hot-backup: " << text << std::endl;
}

}  // namespace

void run_port_program(FileSystem& file_system, std::unique_ptr<erlang::Channel> channel) {
    offer_to_oom_killer();
    Broker broker(std::move(channel));
    std::optional<std::uint64_t> cancelled;
    broker.on_cancel([&](std::uint64_t job) { cancelled = job; });

    for (;;) {
        broker.on_interrupt(throw_if_interrupted);
        const auto order = broker.next_order();
        if (!order) {
            return;
        }
        broker.on_interrupt([&] {
            throw_if_interrupted();
            if (cancelled == order->job) {
                throw Error(ErrorCode::interrupted, "the backup was cancelled",
                            "Nothing was published; start another when you want one.");
            }
        });
        try {
            const auto result = back_up(broker, file_system,
                                        {.repository = order->repository,
                                         .job = order->job,
                                         .max_pause = order->max_pause,
                                         .rate_limit = order->rate_limit,
                                         .lock_patience = order->lock_patience,
                                         .part = order->part},
                                        {});
            log_line("backup " + result.id + " is published in " + order->repository);
            for (const auto& warning : result.warnings) {
                log_line("warning: " + warning);
            }
        } catch (const Error& error) {
            log_line("backup failed: " + std::string(error.what()));
        }
        throw_if_interrupted();
    }
}

}  // namespace hot_backup
