#include "sidecar/sandbox/last_writes.hpp"

#include "sidecar/definitions/text.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string_view>

namespace hot_backup {
namespace {

using Name = std::pair<std::string, std::string>;  // vhost, queue

// The directory of a classic queue that a path of the backup is, or lies directly in, within the
// data directory: data/msg_stores/vhosts/VHOST/queues/QUEUE/FILE.
std::optional<Path> queue_directory(const FileEntry& entry) {
    const Path path = entry.path;
    const Path directory = entry.kind == "directory" ? path : path.parent_path();
    const bool of_queue = entry.path.starts_with("data/msg_stores/") &&
                          directory.parent_path().filename() == "queues";
    return of_queue ? std::optional(directory.lexically_relative("data")) : std::nullopt;
}

// "VHOST: v\nQUEUE: q\n", in some releases more lines. The queues within a queue with priorities,
// one for each, have its name, a zero and their number.
std::optional<Name> name_in(const Path& directory) {
    constexpr std::string_view before_vhost = "VHOST: ";
    constexpr std::string_view before_queue = "\nQUEUE: ";
    std::ifstream file(directory / ".queue_name", std::ios::binary);
    const std::string text(std::istreambuf_iterator<char>(file), {});
    const auto middle = text.find(before_queue);
    if (!text.starts_with(before_vhost) || middle == std::string::npos) {
        return std::nullopt;
    }
    const auto begin = middle + before_queue.size();
    std::string queue = text.substr(begin, text.find('\n', begin) - begin);
    if (queue.size() >= 2 && queue[queue.size() - 2] == '\0') {
        queue.resize(queue.size() - 2);
    }
    return Name(
        replace_invalid_utf8(text.substr(before_vhost.size(), middle - before_vhost.size())),
        replace_invalid_utf8(queue));
}

template <class Key>
void take_latest(std::map<Key, Timestamp>& latest, const Key& key, Timestamp time) {
    const auto known = latest.emplace(key, time).first;
    known->second = std::max(known->second, time);
}

bool holds_messages_of_quorum_queues(std::string_view path) {
    return (path.starts_with("data/quorum/") || path.starts_with("quorum")) &&
           (path.ends_with(".wal") || path.ends_with(".segment"));
}

}  // namespace

LastWrites last_writes(const Repository& repository, const std::string& backup_id,
                       const Path& data_directory) {
    LastWrites latest;
    std::map<Path, Timestamp> directories;
    auto manifest = repository.read_manifest(backup_id);
    while (const auto entry = manifest.next_file()) {
        if (!entry->origin) {
            continue;
        }
        const auto time = entry->origin->mtime;
        if (const auto directory = queue_directory(*entry)) {
            take_latest(directories, *directory, time);
        } else if (entry->kind == "data" && holds_messages_of_quorum_queues(entry->path)) {
            latest.quorum = std::max(latest.quorum.value_or(time), time);
        }
    }
    for (const auto& [directory, time] : directories) {
        if (const auto name = name_in(data_directory / directory)) {
            take_latest(latest.classic, *name, time);
        }
    }
    return latest;
}

}  // namespace hot_backup
