#include "sidecar/cli/choose_backup.hpp"
#include "sidecar/cli/commands.hpp"
#include "sidecar/cli/marks_output.hpp"
#include "sidecar/definitions/snapshot_reader.hpp"
#include "sidecar/engine/interrupt.hpp"
#include "sidecar/engine/stored_snapshot.hpp"
#include "sidecar/engine/stored_statistics.hpp"
#include "sidecar/repository/cluster_parts.hpp"

#include <functional>
#include <optional>
#include <string_view>

namespace hot_backup {
namespace {

// Bytes that are what was written may still make no sense, should a fault of ours have written
// them: what we understand is read through from the first item to the last.
void read_through(std::string_view path, VerifyReport& report, const std::function<void()>& read) {
    try {
        read();
    } catch (const Error& error) {
        if (error.code() != ErrorCode::damaged) {
            throw;
        }
        Finding finding;
        finding.what = Finding::What::file;
        finding.name = path;
        finding.reason = error.what();
        report.findings.push_back(std::move(finding));
    }
}

void read_contents_through(const Repository& repository, VerifyReport& report) {
    if (has_metadata(repository.read_manifest(report.backup_id).summary())) {
        read_through(snapshot_path, report, [&] {
            StoredSnapshot snapshot(repository, report.backup_id);
            SnapshotIndex::scan(snapshot);
        });
    }
    read_through(statistics_path, report,
                 [&] { read_statistics(repository, report.backup_id, [](QueueStatistics) {}); });
}

const char* name_of(Finding::What what) {
    switch (what) {
        case Finding::What::manifest:
            return "manifest";
        case Finding::What::pack:
            return "pack";
        case Finding::What::file:
            return "file";
    }
    return "file";
}

// The backup that is asked for. `latest` is the newest one that can be read, and with it all newer
// ones: it must not look as if the newest were good.
std::vector<std::string> ids_of(const Repository& repository, const std::string& text) {
    const auto chosen = find_backup(repository, text);
    std::vector<std::string> ids;
    for (const auto& newer : chosen.passed_over) {
        ids.push_back(newer.id);
    }
    ids.push_back(chosen.id);
    return ids;
}

// Returns it as it is for programs.
OrderedJson report_finding(const std::string& id, const std::string& node, const Finding& finding,
                           Output& output) {
    output.line("  DAMAGED " + std::string(name_of(finding.what)) + ' ' + printable(finding.name) +
                (node.empty() ? "" : " of " + printable(node)) + ": " + printable(finding.reason));
    OrderedJson json{{"message_type", "damage"},
                     {"backup", id},
                     {"what", name_of(finding.what)},
                     {"name", finding.name},
                     {"reason", finding.reason}};
    if (!node.empty()) {
        json["node"] = node;
    }
    if (!finding.pack.empty()) {
        json["pack"] = finding.pack;
        json["offset"] = finding.offset;
        json["extents"] = finding.extents;
    }
    output.message(json);
    return json;
}

VerifyCallbacks callbacks_for(const std::string& phase, Output& output) {
    VerifyCallbacks callbacks;
    callbacks.interrupt = throw_if_interrupted;
    callbacks.progress = [phase, &output](std::uint64_t done, std::uint64_t total) {
        output.progress(phase, done, total);
    };
    return callbacks;
}

// Returns whether the backup is whole.
bool verify_node(const Repository& repository, const std::string& id, Output& output) {
    const auto begin = std::chrono::steady_clock::now();
    auto report = verify_backup(repository, id, callbacks_for("verify " + id, output));
    if (report.whole()) {
        read_contents_through(repository, report);
    }
    const auto check = finished_check(begin, report.findings.size(), report.bytes);

    output.line(id + (report.whole() ? "  whole: " : "  DAMAGED: ") + std::to_string(report.files) +
                " files, " + format_bytes(report.bytes) + " read and compared");
    std::vector<OrderedJson> findings;
    for (const auto& finding : report.findings) {
        findings.push_back(report_finding(id, {}, finding, output));
    }
    const bool recorded =
        record_or_warn(repository, id, CheckKind::verified, check, findings, output);
    output.summary({{"backup", id},
                    {"whole", report.whole()},
                    {"files", report.files},
                    {"bytes", report.bytes},
                    {"findings", report.findings.size()},
                    {"recorded", recorded}});
    return report.whole();
}

// The parts of a cluster backup, and what is found in them.
class ClusterVerification {
public:
    // The first of the repositories has the backup.
    ClusterVerification(const std::vector<Repository>& repositories, const std::string& id,
                        bool all_at_hand, Output& output)
        : repositories_(repositories), id_(id), all_at_hand_(all_at_hand), output_(output) {}

    // Returns whether all that is at hand is whole.
    bool run() {
        const auto begin = std::chrono::steady_clock::now();
        check_parts();
        const auto check = finished_check(begin, findings_.size(), bytes_);
        const bool whole = findings_.empty();
        output_.line(id_ + (whole ? "  whole: " : "  DAMAGED: ") + std::to_string(files_) +
                     " files, " + format_bytes(bytes_) + " read and compared");
        // Of what nobody could look at nothing is remembered.
        const bool recorded = looked_ && !out_of_sight_ &&
                              record_or_warn(repositories_.front(), id_, CheckKind::verified, check,
                                             findings_, output_);
        output_.summary({{"backup", id_},
                         {"whole", whole},
                         {"files", files_},
                         {"bytes", bytes_},
                         {"findings", findings_.size()},
                         {"parts", parts_},
                         {"recorded", recorded}});
        return whole;
    }

private:
    void check_parts() {
        std::optional<ClusterManifest> manifest;
        try {
            manifest = repositories_.front().read_cluster(id_);
        } catch (const Error& error) {
            if (!is_damage(error)) {
                throw;
            }
            Finding finding;
            finding.what = Finding::What::manifest;
            finding.name = "clusters/" + id_ + ".cluster";
            finding.reason = error.what();
            add({}, finding);
            looked_ = true;
            return;
        }
        for (const auto& placed : place_parts(repositories_, id_, *manifest)) {
            check_part(placed);
        }
    }

    void check_part(const PlacedPart& placed) {
        const auto& part = placed.part;
        if (placed.state == PartState::elsewhere && !all_at_hand_) {
            output_.line("  not checked here: " + printable(part.node) + " in " +
                         printable(part.path) + " on host " + printable(part.host));
            add_part(part, "not_checked");
            return;
        }
        looked_ = true;
        out_of_sight_ = out_of_sight_ || placed.state == PartState::elsewhere;
        auto report = verify_part(
            placed, callbacks_for("verify " + id_ + " of " + printable(part.node), output_));
        if (report.whole()) {
            read_contents_through(*placed.repository, report);
        }
        files_ += report.files;
        bytes_ += report.bytes;
        for (const auto& finding : report.findings) {
            add(part.node, finding);
        }
        const bool missing = placed.state != PartState::here;
        add_part(part, missing ? "missing" : report.whole() ? "whole" : "damaged");
    }

    void add(const std::string& node, const Finding& finding) {
        findings_.push_back(report_finding(id_, node, finding, output_));
    }

    void add_part(const ClusterPart& part, const char* state) {
        parts_.push_back({{"node", part.node}, {"backup", part.backup}, {"state", state}});
    }

    const std::vector<Repository>& repositories_;
    const std::string& id_;
    bool all_at_hand_;
    Output& output_;
    bool looked_ = false;        // at something
    bool out_of_sight_ = false;  // a part that should be at hand, in a repository that is not
    std::uint64_t files_ = 0;
    std::uint64_t bytes_ = 0;
    std::vector<OrderedJson> findings_;
    OrderedJson parts_ = OrderedJson::array();
};

// Returns whether the backup is whole. The first of the repositories has it.
bool verify_one(const std::vector<Repository>& repositories, const std::string& id,
                Output& output) {
    const auto& repository = repositories.front();
    if (!repository.has_cluster(id)) {
        return verify_node(repository, id, output);
    }
    return ClusterVerification(repositories, id, repositories.size() > 1, output).run();
}

// Verifies all of them, whatever is found on the way. One that was deleted meanwhile is none of
// them. Returns how many are damaged; throws the first error that kept one from being verified,
// unless damage was found, which is worse.
std::size_t verify_all(const std::vector<Repository>& repositories,
                       const std::vector<std::string>& ids, Output& output) {
    std::size_t damaged = 0;
    std::optional<Error> first_error;
    for (const auto& id : ids) {
        try {
            damaged += verify_one(repositories, id, output) ? 0U : 1U;
        } catch (const Error& error) {
            if (error.code() == ErrorCode::interrupted) {
                throw;
            }
            if (error.code() != ErrorCode::not_found) {
                output.line(id + "  NOT VERIFIED: " + printable(error.what()));
                first_error = first_error.value_or(error);
            }
        }
    }
    if (damaged == 0 && first_error) {
        throw Error(*first_error);
    }
    return damaged;
}

}  // namespace

ExitCode verify_command(const Arguments& arguments, Output& output) {
    if (arguments.boot) {
        return drill_command(arguments, output);
    }
    const auto repositories = open_repositories(arguments);
    const auto& repository = repositories.front();
    const auto ids =
        arguments.all ? repository.list() : ids_of(repository, arguments.backups.front());
    const auto count = ids.size();
    const auto damaged = verify_all(repositories, ids, output);
    if (ids.empty()) {
        output.line("no backups in " + repository.directory().string());
    }

    if (damaged > 0) {
        throw Error(ErrorCode::damaged,
                    std::to_string(damaged) + " of " + std::to_string(count) +
                        (count == 1 ? " backup" : " backups") + " damaged",
                    "Make a new backup now, then look for the reason on the disk that holds " +
                        repository.directory().string() + ".");
    }
    return exit_done;
}

}  // namespace hot_backup
