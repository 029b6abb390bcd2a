#include "sidecar/cli/choose_backup.hpp"

namespace hot_backup {
namespace {

// Why the backup cannot be read; nothing when it can.
std::optional<std::string> problem_of(const Repository& repository, const std::string& id) {
    try {
        repository.read_manifest(id);
        return std::nullopt;
    } catch (const Error& error) {
        return error.what();
    }
}

}  // namespace

bool can_be_read(const Repository& repository, const std::string& backup_id) {
    return !problem_of(repository, backup_id);
}

std::string choose_backup(const Repository& repository, const std::string& text, Output& output) {
    const auto newest = repository.resolve(text);
    if (text != "latest") {
        return newest;
    }
    const auto ids = repository.list();
    std::vector<std::pair<std::string, std::string>> passed_over;
    for (auto id = ids.rbegin(); id != ids.rend(); ++id) {
        auto problem = problem_of(repository, *id);
        if (!problem) {
            for (const auto& [backup, reason] : passed_over) {
                output.warning("backup " + backup + " is newer and cannot be read: " + reason);
                output.message(
                    {{"message_type", "passed_over"}, {"backup", backup}, {"reason", reason}});
            }
            return *id;
        }
        passed_over.emplace_back(*id, std::move(*problem));
    }
    return newest;
}

}  // namespace hot_backup
