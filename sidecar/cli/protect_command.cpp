#include "sidecar/cli/choose_backup.hpp"
#include "sidecar/cli/commands.hpp"
#include "sidecar/cli/marks_output.hpp"

namespace hot_backup {
namespace {

// All of them before anything is done: a typing error in the last one changes nothing.
std::vector<std::string> resolve_all(const Repository& repository,
                                     const std::vector<std::string>& texts) {
    std::vector<std::string> ids;
    for (const auto& text : texts) {
        ids.push_back(resolve_whole(repository, text));
    }
    return ids;
}

}  // namespace

ExitCode protect_command(const Arguments& arguments, Output& output) {
    const auto repository = Repository::open(posix_file_system(), arguments.repository);
    for (const auto& id : resolve_all(repository, arguments.backups)) {
        const auto when = now();
        protect(repository, id, {when, arguments.reason});
        log_or_warn(repository, id, {when, "protected", arguments.reason}, output);
        output.line("protected " + id);
        output.summary({{"backup", id}, {"protected", true}, {"reason", arguments.reason}});
    }
    return exit_done;
}

ExitCode unprotect_command(const Arguments& arguments, Output& output) {
    const auto repository = Repository::open(posix_file_system(), arguments.repository);
    for (const auto& id : resolve_all(repository, arguments.backups)) {
        const bool was_protected = unprotect(repository, id);
        if (was_protected) {
            log_or_warn(repository, id, {now(), "unprotected", ""}, output);
        }
        output.line((was_protected ? "no longer protected: " : "was not protected: ") + id);
        output.summary({{"backup", id}, {"protected", false}, {"was_protected", was_protected}});
    }
    return exit_done;
}

}  // namespace hot_backup
