// What is written into a backup's log while it is made: the sentences, and the times in them.
#pragma once

#include "sidecar/capture/live_copy.hpp"
#include "sidecar/engine/broker.hpp"
#include "sidecar/repository/backup_log.hpp"

#include <chrono>
#include <cstdint>
#include <string>

namespace hot_backup {

class MakingLog {
public:
    using Clock = std::chrono::steady_clock;

    void begun(const NodeIdentity& node, std::chrono::milliseconds max_pause,
               std::uint64_t rate_limit);
    // Another writer has the repository; and has it no more.
    void waiting(const Error& locked) { log_.add("wait", locked.what()); }
    void waited(Clock::time_point since);
    bool has_waited() const noexcept { return has_waited_; }
    void configuration(std::size_t files) {
        log_.add("configuration", std::to_string(files) + " configuration files");
    }
    void warning(const std::string& text) { log_.add("warning", text); }
    void passed(std::uint64_t number, const Pass& pass, Clock::time_point since);
    void counted(const MessageTotals& totals);
    void checkpoint(const Checkpoint& checkpoint);
    // A stop that was of no use, or one that was not even tried.
    void missed(const std::string& reason) { log_.add("stop", "of no use: " + reason); }
    void stopped(const CutSummary& cut);
    void metadata(const MetadataSummary& metadata, std::uint64_t bytes);
    void publishing() { log_.add("publish", "all is copied; it is synced and published"); }

    std::vector<LogEvent> take() { return log_.take(); }

private:
    LogWriter log_;
    bool has_waited_ = false;
};

}  // namespace hot_backup
