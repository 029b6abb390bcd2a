#include "sidecar/cli/commands.hpp"
#include "sidecar/repository/backup_log.hpp"
#include "sidecar/repository/repository.hpp"

namespace hot_backup {

ExitCode note_command(const Arguments& arguments, Output& output) {
    const auto repository = Repository::open(posix_file_system(), arguments.repository);
    const auto id = repository.resolve(arguments.backups.front());
    const auto when = arguments.note.when.value_or(now());
    append_to_log(repository, id, {when, "note", arguments.note.text});
    output.line("noted in the log of " + id);
    output.summary({{"backup", id}, {"when", to_text(when)}, {"text", arguments.note.text}});
    return exit_done;
}

}  // namespace hot_backup
