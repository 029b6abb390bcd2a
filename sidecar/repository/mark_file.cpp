#include "sidecar/repository/mark_file.hpp"

#include "sidecar/repository/json_fields.hpp"

#include <thread>

namespace hot_backup {
namespace {

constexpr std::string_view format = "rabbitmq-hot-backup mark";
constexpr unsigned version = 1;

// What cannot be removed, the next sweep removes.
void remove_if_possible(FileSystem& file_system, const Path& path) {
    try {
        file_system.remove(path);
    } catch (const Error&) {
    }
}

std::string text_of(std::string_view backup_id, std::string_view mark,
                    const std::vector<OrderedJson>& lines) {
    std::string text =
        to_line(OrderedJson{
            {"format", format}, {"version", version}, {"backup", backup_id}, {"mark", mark}}) +
        '\n';
    for (const auto& line : lines) {
        text += to_line(line) + '\n';
    }
    return seal(std::move(text));
}

}  // namespace

MarksLock::MarksLock(const Repository& repository, std::chrono::milliseconds patience)
    : file_(repository.file_system().open_for_lock(repository.directory() / "repository.json")) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (!file_->try_lock()) {
        if (std::chrono::steady_clock::now() >= deadline) {
            throw Error(ErrorCode::locked,
                        "the marks of repository " + repository.directory().string() +
                            " are locked by another process",
                        "Try again. If that does not help, look for a process of "
                        "rabbitmq-hot-backup that is stopped.");
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
}

std::string mark_name(std::string_view backup_id, std::string_view mark) {
    return std::string(backup_id).append(".").append(mark);
}

Path mark_path(const Repository& repository, std::string_view backup_id, std::string_view mark) {
    return repository.marks() / mark_name(backup_id, mark);
}

void write_mark(const Repository& repository, const MarksLock& /*held*/, std::string_view backup_id,
                std::string_view mark, const std::vector<OrderedJson>& lines) {
    FileSystem& file_system = repository.file_system();
    if (!repository.has_backup(backup_id)) {
        throw repository.no_such_backup(backup_id);
    }
    file_system.make_directory(repository.marks());
    file_system.inherit_owner(repository.marks());
    file_system.sync_directory(repository.directory());

    // On a network file system that does not share the flock, two writers still do not meet.
    const Path temporary = mark_path(repository, backup_id, mark) +=
        "." + random_uuid() + std::string(unfinished_mark);
    try {
        const auto file = file_system.create(temporary);
        file_system.inherit_owner(temporary);
        file->append(text_of(backup_id, mark, lines));
        file->sync();
        file_system.rename(temporary, mark_path(repository, backup_id, mark));
    } catch (const Error&) {
        remove_if_possible(file_system, temporary);
        throw;
    }
    file_system.sync_directory(repository.marks());
}

std::vector<Json> read_mark(const Repository& repository, std::string_view backup_id,
                            std::string_view mark) {
    SealedTextReader text(repository.file_system(), mark_path(repository, backup_id, mark));
    try {
        const Json first = parse_object(read_format_line(text, format, version));
        const Fields header(first);
        if (header.text("backup") != backup_id || header.text("mark") != mark) {
            throw BadField("it is the mark of another backup, or another mark");
        }
        std::vector<Json> lines;
        while (const auto line = text.next_line()) {
            lines.push_back(parse_object(*line));
        }
        if (lines.empty()) {
            throw BadField("it has no content");
        }
        return lines;
    } catch (const BadField& bad) {
        throw text.damaged(bad.what());
    }
}

}  // namespace hot_backup
