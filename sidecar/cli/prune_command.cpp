#include "sidecar/cli/commands.hpp"
#include "sidecar/cli/marks_output.hpp"
#include "sidecar/cli/writer_lock.hpp"
#include "sidecar/engine/interrupt.hpp"
#include "sidecar/repository/retention.hpp"

#include <array>
#include <cstdlib>
#include <ctime>
#include <numeric>

namespace hot_backup {
namespace {

// A backup, what is known of it and what is decided.
struct Candidate {
    RetentionBackup backup;
    std::uint64_t pack_bytes = 0;  // what a deletion frees
    std::string problem;           // why its manifest cannot be read
    RetentionReasons reasons;      // why it is kept

    bool kept() const noexcept { return !reasons.empty(); }
};

std::uint64_t bytes_of(const std::vector<PackSize>& packs) {
    return std::accumulate(
        packs.begin(), packs.end(), std::uint64_t{0},
        [](std::uint64_t sum, const PackSize& pack) { return sum + pack.bytes; });
}

// Throws the Error that keeps it from being read.
void read(const Repository& repository, Candidate& candidate) {
    auto& backup = candidate.backup;
    if (!repository.has_cluster(backup.id)) {
        const auto summary = repository.read_manifest(backup.id).summary();
        backup.node = summary.node;
        backup.instant = summary.instant;
        candidate.pack_bytes = bytes_of(summary.packs);
        return;
    }
    // One backup, whichever nodes it is of: no rule of one node counts it. One that lacks nodes
    // does not take the place of a whole one.
    const auto manifest = repository.read_cluster(backup.id);
    backup.node = "cluster/" + manifest.summary.cluster;
    for (const auto& missing : manifest.missing) {
        backup.node += (&missing == &manifest.missing.front() ? " without " : ", ") + missing.node;
    }
    backup.instant = manifest.summary.instant;
    for (const auto& part : repository.parts_here(backup.id)) {
        candidate.pack_bytes += bytes_of(repository.read_manifest(part).summary().packs);
    }
}

std::vector<Candidate> read_candidates(const Repository& repository) {
    std::vector<Candidate> candidates;
    for (const auto& id : repository.list()) {
        throw_if_interrupted();
        Candidate candidate;
        candidate.backup.id = id;
        try {
            read(repository, candidate);
        } catch (const Error& error) {
            if (error.code() == ErrorCode::not_found) {
                continue;  // deleted since it was listed
            }
            candidate.backup.readable = false;
            candidate.problem = error.what();
        }
        const auto marks = read_marks(repository, id);
        candidate.backup.is_protected = marks.protection.has_value();
        if (marks.verified) {
            candidate.backup.intact = marks.verified->findings == 0;
        }
        candidates.push_back(std::move(candidate));
    }
    return candidates;
}

void decide(std::vector<Candidate>& candidates, const PruneArguments& prune) {
    std::vector<RetentionBackup> backups;
    for (const auto& candidate : candidates) {
        backups.push_back(candidate.backup);
    }
    auto reasons = apply_retention(backups, prune.rules, [&](Timestamp time) {
        return prune.utc ? std::chrono::seconds{0} : local_offset(time);
    });
    for (std::size_t i = 0; i < candidates.size(); ++i) {
        candidates[i].reasons = std::move(reasons[i]);
    }
}

std::string describe_time_zone(bool utc) {
    if (utc) {
        return "UTC";
    }
    const auto now = std::time(nullptr);
    std::tm local{};
    std::array<char, 64> text{};
    if (::localtime_r(&now, &local) == nullptr ||
        std::strftime(text.data(), text.size(), "local time (now %Z, UTC%z)", &local) == 0) {
        return "local time";
    }
    return text.data();
}

std::string describe(const RetentionReasons& reasons) {
    std::string text;
    for (const auto reason : reasons) {
        std::string word(name_of(reason));
        std::replace(word.begin(), word.end(), '_', ' ');
        text += (text.empty() ? "" : ", ") + word;
    }
    return text;
}

void report(const Candidate& candidate, bool dry_run, Output& output) {
    const auto& backup = candidate.backup;
    std::string line = backup.id + "  ";
    if (candidate.kept()) {
        line += "keep    " + describe(candidate.reasons);
    } else {
        line += (dry_run ? "would remove  " : "remove  ") + format_bytes(candidate.pack_bytes) +
                (backup.intact == false ? ", damaged" : "");
    }
    output.line(line + (candidate.problem.empty() ? "" : ": " + printable(candidate.problem)));

    OrderedJson json{{"message_type", "decision"}, {"backup", backup.id}};
    if (backup.readable) {
        json["node"] = backup.node;
        json["instant"] = to_text(backup.instant);
        json["pack_bytes"] = candidate.pack_bytes;
    } else {
        json["unreadable"] = candidate.problem;
    }
    json["keep"] = candidate.kept();
    json["reasons"] = OrderedJson::array();
    for (const auto reason : candidate.reasons) {
        json["reasons"].push_back(name_of(reason));
    }
    output.message(json);
}

void report_all(const std::vector<Candidate>& candidates, const PruneArguments& prune,
                Output& output) {
    output.line("days, weeks, months and years begin in " + describe_time_zone(prune.utc));
    for (const auto& candidate : candidates) {
        report(candidate, prune.dry_run, output);
    }
    const auto unreadable =
        std::count_if(candidates.begin(), candidates.end(),
                      [](const Candidate& candidate) { return !candidate.backup.readable; });
    if (unreadable > 0) {
        output.warning(plural(static_cast<std::uint64_t>(unreadable), "backup", "backups") +
                       " cannot be read and may hold packs of others: see `verify --all`, and "
                       "`delete` what is of no use");
    }
}

// The oldest first. A backup that is protected since it was looked at stays.
std::vector<const Candidate*> remove(const Repository& repository, const Lock& lock,
                                     const std::vector<Candidate>& candidates, Output& output) {
    std::vector<const Candidate*> removed;
    for (const auto& candidate : candidates) {
        if (candidate.kept()) {
            continue;
        }
        throw_if_interrupted();
        if (repository.withdraw(lock, candidate.backup.id)) {
            removed.push_back(&candidate);
        } else {
            output.warning("backup " + candidate.backup.id + " stays: it was protected just now");
        }
    }
    return removed;
}

void summarize(const std::vector<Candidate>& candidates,
               const std::vector<const Candidate*>& removed, std::uint64_t bytes,
               const PruneArguments& prune, Output& output) {
    output.line(plural(removed.size(), "backup", "backups") +
                (prune.dry_run ? " would be removed, " : " removed, ") +
                std::to_string(candidates.size() - removed.size()) + " kept, " +
                format_bytes(bytes) + (prune.dry_run ? " would be freed" : " freed"));
    auto ids = OrderedJson::array();
    for (const auto* candidate : removed) {
        ids.push_back(candidate->backup.id);
    }
    output.summary({{"dry_run", prune.dry_run},
                    {"time_zone", prune.utc ? "utc" : "local"},
                    {"kept", candidates.size() - removed.size()},
                    {"removed", std::move(ids)},
                    {"bytes_freed", bytes}});
}

void dry_run(const Repository& repository, const PruneArguments& prune, Output& output) {
    auto candidates = read_candidates(repository);
    decide(candidates, prune);
    report_all(candidates, prune, output);
    std::vector<const Candidate*> removed;
    std::uint64_t bytes = 0;
    for (const auto& candidate : candidates) {
        if (!candidate.kept()) {
            removed.push_back(&candidate);
            bytes += candidate.pack_bytes;
        }
    }
    summarize(candidates, removed, bytes, prune, output);
}

}  // namespace

ExitCode prune_command(const Arguments& arguments, Output& output) {
    const auto& prune = arguments.prune;
    const auto repository = Repository::open(posix_file_system(), arguments.repository);
    if (prune.dry_run) {
        dry_run(repository, prune, output);
        return exit_done;
    }
    const auto lock = lock_for_writing(repository, "prune", arguments.retry_lock, output);
    auto candidates = read_candidates(repository);
    decide(candidates, prune);
    report_all(candidates, prune, output);
    const auto removed = remove(repository, *lock, candidates, output);
    // Also what an earlier one, that was interrupted, has left.
    const auto swept = repository.sweep(*lock);
    summarize(candidates, removed, swept.bytes, prune, output);
    return exit_done;
}

}  // namespace hot_backup
