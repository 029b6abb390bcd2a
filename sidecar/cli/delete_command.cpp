#include "sidecar/cli/commands.hpp"
#include "sidecar/cli/writer_lock.hpp"
#include "sidecar/repository/marks.hpp"

#include <algorithm>

namespace hot_backup {

namespace {

// Also what is no backup yet, and may never be one: parts in doubt, by the ID of the whole.
std::string resolve_for_deletion(const Repository& repository, const std::string& text) {
    const auto doubtful = repository.in_doubt();
    const bool in_doubt = std::any_of(doubtful.begin(), doubtful.end(), [&](const PartHere& part) {
        return part.cluster_backup == text;
    });
    return in_doubt ? text : repository.resolve(text);
}

// The parts of a cluster backup that its deletion here leaves where they are.
std::vector<ClusterPart> parts_elsewhere(const Repository& repository, const std::string& id) {
    try {
        auto parts = repository.read_cluster(id).parts;
        std::erase_if(parts, [&](const ClusterPart& part) {
            return part.repository == repository.id() || repository.has_part(part);
        });
        return parts;
    } catch (const Error&) {
        return {};  // it is none, or nobody can tell any more
    }
}

OrderedJson report_remaining(const std::vector<ClusterPart>& parts, Output& output) {
    auto remaining = OrderedJson::array();
    for (const auto& part : parts) {
        output.line("  remains elsewhere: " + printable(part.node) + " in " + printable(part.path) +
                    " on host " + printable(part.host));
        remaining.push_back({{"node", part.node},
                             {"backup", part.backup},
                             {"repository", part.repository},
                             {"path", part.path},
                             {"host", part.host}});
    }
    return remaining;
}

}  // namespace

// All IDs are resolved and looked at before the first backup goes: a typing error in the last one
// deletes nothing, and neither does a protected one among them.
ExitCode delete_command(const Arguments& arguments, Output& output) {
    const auto repository = Repository::open(posix_file_system(), arguments.repository);
    const auto lock = lock_for_writing(repository, "delete", arguments.retry_lock, output);
    std::vector<std::string> ids;
    for (const auto& text : arguments.backups) {
        ids.push_back(resolve_for_deletion(repository, text));
    }
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
    for (const auto& id : ids) {
        if (is_protected(repository, id)) {
            throw protected_error(repository, id);
        }
    }
    for (const auto& id : ids) {
        const auto elsewhere = parts_elsewhere(repository, id);
        const bool of_cluster = repository.has_cluster(id);
        const auto removed = repository.remove(*lock, id);
        output.line("deleted " + id + ", " + format_bytes(removed.bytes) + " freed");
        if (removed.kept > 0) {
            output.warning(std::to_string(removed.kept) +
                           " packs stay, because a manifest that cannot be read may name them; "
                           "see rabbitmq-hot-backup verify --all");
        }
        OrderedJson json{{"backup", id}, {"deleted", true}, {"bytes_freed", removed.bytes}};
        auto remaining = report_remaining(elsewhere, output);
        if (of_cluster) {
            json["remaining"] = std::move(remaining);
        }
        output.summary(std::move(json));
    }
    return exit_done;
}

}  // namespace hot_backup
