#include "sidecar/cli/choose_backup.hpp"

#include <utility>

namespace hot_backup {

ChosenBackup find_backup(const Repository& repository, const std::string& text) {
    const auto newest = repository.resolve(text);
    if (text != "latest") {
        return {newest, {}};
    }
    std::vector<UnreadableBackup> passed_over;
    const auto ids = repository.list();
    for (auto id = ids.rbegin(); id != ids.rend(); ++id) {
        try {
            repository.read_manifest(*id);
            return {*id, std::move(passed_over)};
        } catch (const Error& error) {
            passed_over.push_back({*id, error.what()});
        }
    }
    return {newest, {}};
}

std::string choose_backup(const Repository& repository, const std::string& text, Output& output) {
    const auto chosen = find_backup(repository, text);
    for (const auto& [id, reason] : chosen.passed_over) {
        output.warning("backup " + id + " is newer and cannot be read: " + reason);
        output.message({{"message_type", "passed_over"}, {"backup", id}, {"reason", reason}});
    }
    return chosen.id;
}

}  // namespace hot_backup
