#include "sidecar/engine/making_log.hpp"

#include "sidecar/engine/version.hpp"

#include <array>
#include <cstdio>

namespace hot_backup {
namespace {

std::string decimal(double number, const char* unit) {
    std::array<char, 48> text{};
    std::snprintf(text.data(), text.size(), "%.1f %s", number, unit);
    return text.data();
}

std::string seconds_text(MakingLog::Clock::time_point since) {
    return decimal(std::chrono::duration<double>(MakingLog::Clock::now() - since).count(), "s");
}

std::string milliseconds_text(std::uint64_t microseconds) {
    return decimal(static_cast<double>(microseconds) / 1000, "ms");
}

std::string bytes_text(std::uint64_t bytes) {
    return bytes < 1'000'000 ? decimal(static_cast<double>(bytes) / 1000, "kB")
                             : decimal(static_cast<double>(bytes) / 1'000'000, "MB");
}

}  // namespace

void MakingLog::begun(const NodeIdentity& node, std::chrono::milliseconds max_pause,
                      std::uint64_t rate_limit) {
    log_.add("begin", "program " + std::string(program_version) + " backs up " + node.node +
                          ", RabbitMQ " + node.rabbitmq_version + ", Erlang " +
                          node.erlang_version + "; pause of at most " +
                          std::to_string(max_pause.count()) + " ms, " +
                          (rate_limit > 0 ? bytes_text(rate_limit) + "/s" : "no rate limit"));
}

void MakingLog::waited(Clock::time_point since) {
    has_waited_ = true;
    log_.add("wait", "the repository was free after " + seconds_text(since));
}

void MakingLog::passed(std::uint64_t number, const Pass& pass, Clock::time_point since) {
    const auto& left = pass.remainder;
    log_.add("pass", "pass " + std::to_string(number) + ": " + std::to_string(pass.files) +
                         " files, " + bytes_text(pass.bytes) + " in " + seconds_text(since) +
                         "; meanwhile " + std::to_string(left.files) + " changed, " +
                         bytes_text(left.memory_bytes) + " to be read within a stop, " +
                         bytes_text(left.tail_bytes) + " after it");
}

void MakingLog::counted(const MessageTotals& totals) {
    log_.add("count", "the node counted " + std::to_string(totals.ready) + " messages ready and " +
                          std::to_string(totals.unacknowledged) + " unacknowledged in " +
                          std::to_string(totals.queues) + " queues");
}

void MakingLog::checkpoint(const Checkpoint& checkpoint) {
    log_.add("checkpoint", "of " + checkpoint.store + ", activated in " +
                               milliseconds_text(checkpoint.activation_us));
}

void MakingLog::stopped(const CutSummary& cut) {
    log_.add("stop", "the node stood still for " + milliseconds_text(cut.pause_us) + " (" +
                         milliseconds_text(cut.acquisition_us) + " to stop everything, " +
                         milliseconds_text(cut.hold_us) + " held), attempt " +
                         std::to_string(cut.attempts) + "; " + std::to_string(cut.files) +
                         " files looked at, " + bytes_text(cut.memory_bytes) + " read, " +
                         bytes_text(cut.tail_bytes) + " right after it");
}

void MakingLog::metadata(const MetadataSummary& metadata, std::uint64_t bytes) {
    log_.add("metadata", std::to_string(metadata.items) + " items, " + bytes_text(bytes));
}

}  // namespace hot_backup
