#include "sidecar/cli/choose_backup.hpp"
#include "sidecar/cli/commands.hpp"
#include "sidecar/cli/marks_output.hpp"
#include "sidecar/definitions/snapshot_reader.hpp"
#include "sidecar/engine/interrupt.hpp"
#include "sidecar/engine/stored_snapshot.hpp"
#include "sidecar/engine/stored_statistics.hpp"
#include "sidecar/repository/verify.hpp"

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
    read_through(snapshot_path, report, [&] {
        StoredSnapshot snapshot(repository, report.backup_id);
        SnapshotIndex::scan(snapshot);
    });
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
OrderedJson report_finding(const std::string& id, const Finding& finding, Output& output) {
    output.line("  DAMAGED " + std::string(name_of(finding.what)) + ' ' + printable(finding.name) +
                ": " + printable(finding.reason));
    OrderedJson json{{"message_type", "damage"},
                     {"backup", id},
                     {"what", name_of(finding.what)},
                     {"name", finding.name},
                     {"reason", finding.reason}};
    if (!finding.pack.empty()) {
        json["pack"] = finding.pack;
        json["offset"] = finding.offset;
        json["extents"] = finding.extents;
    }
    output.message(json);
    return json;
}

// Returns whether the backup is whole.
bool verify_one(const Repository& repository, const std::string& id, Output& output) {
    VerifyCallbacks callbacks;
    callbacks.interrupt = throw_if_interrupted;
    callbacks.progress = [&](std::uint64_t done, std::uint64_t total) {
        output.progress("verify " + id, done, total);
    };
    const auto begin = std::chrono::steady_clock::now();
    auto report = verify_backup(repository, id, callbacks);
    if (report.whole()) {
        read_contents_through(repository, report);
    }
    const auto check = finished_check(begin, report.findings.size(), report.bytes);

    output.line(id + (report.whole() ? "  whole: " : "  DAMAGED: ") + std::to_string(report.files) +
                " files, " + format_bytes(report.bytes) + " read and compared");
    std::vector<OrderedJson> findings;
    for (const auto& finding : report.findings) {
        findings.push_back(report_finding(id, finding, output));
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

// Verifies all of them, whatever is found on the way. One that was deleted meanwhile is none of
// them. Returns how many are damaged; throws the first error that kept one from being verified,
// unless damage was found, which is worse.
std::size_t verify_all(const Repository& repository, const std::vector<std::string>& ids,
                       Output& output) {
    std::size_t damaged = 0;
    std::optional<Error> first_error;
    for (const auto& id : ids) {
        try {
            damaged += verify_one(repository, id, output) ? 0U : 1U;
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
    const auto repository = Repository::open(posix_file_system(), arguments.repository);
    std::size_t count = 1;
    std::size_t damaged = 0;
    if (arguments.all) {
        const auto ids = repository.list();
        count = ids.size();
        damaged = verify_all(repository, ids, output);
        if (ids.empty()) {
            output.line("no backups in " + repository.directory().string());
        }
    } else {
        const auto ids = ids_of(repository, arguments.backups.front());
        count = ids.size();
        damaged = verify_all(repository, ids, output);
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
