#include "sidecar/cli/commands.hpp"
#include "sidecar/cli/writer_lock.hpp"
#include "sidecar/repository/marks.hpp"

#include <algorithm>

namespace hot_backup {

// All IDs are resolved and looked at before the first backup goes: a typing error in the last one
// deletes nothing, and neither does a protected one among them.
ExitCode delete_command(const Arguments& arguments, Output& output) {
    const auto repository = Repository::open(posix_file_system(), arguments.repository);
    const auto lock = lock_for_writing(repository, "delete", arguments.retry_lock, output);
    std::vector<std::string> ids;
    for (const auto& text : arguments.backups) {
        ids.push_back(repository.resolve(text));
    }
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
    for (const auto& id : ids) {
        if (is_protected(repository, id)) {
            throw protected_error(repository, id);
        }
    }
    for (const auto& id : ids) {
        const auto removed = repository.remove(*lock, id);
        output.line("deleted " + id + ", " + format_bytes(removed.bytes) + " freed");
        if (removed.kept > 0) {
            output.warning(std::to_string(removed.kept) +
                           " packs stay, because a manifest that cannot be read may name them; "
                           "see rabbitmq-hot-backup verify --all");
        }
        output.summary({{"backup", id}, {"deleted", true}, {"bytes_freed", removed.bytes}});
    }
    return exit_done;
}

}  // namespace hot_backup
