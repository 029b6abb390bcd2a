#include "sidecar/cli/commands.hpp"
#include "sidecar/repository/repository.hpp"

namespace hot_backup {

// All IDs are resolved before the first backup goes: a typing error in the last one deletes
// nothing.
ExitCode delete_command(const Arguments& arguments, Output& output) {
    const auto repository = Repository::open(posix_file_system(), arguments.repository);
    const Lock lock(posix_file_system(), repository.directory(), "delete");
    std::vector<std::string> ids;
    for (const auto& text : arguments.backups) {
        ids.push_back(repository.resolve(text));
    }
    for (const auto& id : ids) {
        const auto removed = repository.remove(lock, id);
        output.line("deleted " + id + ", " + format_bytes(removed.bytes) + " freed");
        output.summary({{"backup", id}, {"deleted", true}, {"bytes_freed", removed.bytes}});
    }
    return exit_done;
}

}  // namespace hot_backup
