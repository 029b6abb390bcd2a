#include "sidecar/cli/choose_backup.hpp"
#include "sidecar/cli/commands.hpp"
#include "sidecar/cli/output_file.hpp"
#include "sidecar/definitions/definitions.hpp"
#include "sidecar/engine/stored_snapshot.hpp"

#include <iostream>

namespace hot_backup {

ExitCode definitions_command(const Arguments& arguments, Output& output) {
    const auto repository = Repository::open(posix_file_system(), arguments.repository);
    const auto id = choose_backup(repository, arguments.backups.front(), output);
    const auto part = choose_part(repository, id, {});
    const auto summary = repository.read_manifest(part).summary();
    if (!has_metadata(summary)) {
        throw Error(ErrorCode::usage, "part " + id + " does not have the metadata of its cluster",
                    "Name the whole backup, " + summary.part->cluster_backup + '.');
    }
    const DefinitionsHeader header{summary.rabbitmq_version};
    StoredSnapshot stored(repository, part);
    Snapshot snapshot(stored, SnapshotIndex::scan(stored));

    DefinitionsReport report;
    if (arguments.output_file.empty()) {
        report = write_definitions(snapshot, header, std::cout);
    } else {
        write_output_file(arguments.output_file, [&](std::ostream& stream) {
            report = write_definitions(snapshot, header, stream);
        });
        output.line("definitions of " + id + " written to " + arguments.output_file);
    }
    if (report.replaced_strings > 0) {
        output.warning(std::to_string(report.replaced_strings) +
                       " strings have bytes that are not UTF-8, which JSON cannot hold; each such "
                       "byte became U+FFFD");
    }
    output.summary({{"backup", id},
                    {"output", arguments.output_file},
                    {"replaced_strings", report.replaced_strings}});
    return exit_done;
}

}  // namespace hot_backup
