#include "sidecar/repository/marks.hpp"

#include "sidecar/repository/identifier.hpp"
#include "sidecar/repository/json_fields.hpp"

#include <algorithm>
#include <thread>

namespace hot_backup {
namespace {

constexpr std::string_view format = "rabbitmq-hot-backup mark";
constexpr unsigned version = 1;
constexpr std::string_view protected_mark = "protected";
constexpr std::string_view temporary_suffix = ".tmp";

struct CheckWords {
    std::string_view mark;
    std::string_view good;
    std::string_view bad;
};

CheckWords words_of(CheckKind kind) {
    return kind == CheckKind::verified ? CheckWords{"verified", "intact", "damaged"}
                                       : CheckWords{"booted", "same", "differs"};
}

std::string mark_name(std::string_view backup_id, std::string_view mark) {
    return std::string(backup_id).append(".").append(mark);
}

Path mark_path(const Repository& repository, std::string_view backup_id, std::string_view mark) {
    return repository.marks() / mark_name(backup_id, mark);
}

// The marks/ directory exists from the first mark on.
std::vector<std::string> list_directory(const Repository& repository) {
    auto& file_system = repository.file_system();
    return file_system.status(repository.marks()) ? file_system.list(repository.marks())
                                                  : std::vector<std::string>{};
}

// What cannot be removed, the next sweep removes.
void remove_if_possible(FileSystem& file_system, const Path& path) {
    try {
        file_system.remove(path);
    } catch (const Error&) {
    }
}

// Replaces the mark; of a mark that was there before, the old or the new one survives a power cut.
void write_mark(const Repository& repository, std::string_view backup_id, std::string_view mark,
                const OrderedJson& content) {
    FileSystem& file_system = repository.file_system();
    const MarksLock lock(repository);
    if (!repository.has_backup(backup_id)) {
        throw repository.no_such_backup(backup_id);
    }
    file_system.make_directory(repository.marks());
    file_system.inherit_owner(repository.marks());
    file_system.sync_directory(repository.directory());

    // On a network file system that does not share the flock, two writers still do not meet.
    const Path temporary = mark_path(repository, backup_id, mark) +=
        "." + random_uuid() + std::string(temporary_suffix);
    try {
        const auto file = file_system.create(temporary);
        file_system.inherit_owner(temporary);
        file->append(seal(
            to_line(OrderedJson{
                {"format", format}, {"version", version}, {"backup", backup_id}, {"mark", mark}}) +
            '\n' + to_line(content) + '\n'));
        file->sync();
        file_system.rename(temporary, mark_path(repository, backup_id, mark));
    } catch (const Error&) {
        remove_if_possible(file_system, temporary);
        throw;
    }
    file_system.sync_directory(repository.marks());
}

// The content of a mark. Error not_found: there is none; damaged, failed: it cannot be read.
template <class Read>
auto read_mark(const Repository& repository, std::string_view backup_id, std::string_view mark,
               Read&& read) {
    SealedTextReader text(repository.file_system(), mark_path(repository, backup_id, mark));
    try {
        const Json first = parse_object(read_format_line(text, format, version));
        const Fields header(first);
        if (header.text("backup") != backup_id || header.text("mark") != mark) {
            throw BadField("it is the mark of another backup, or another mark");
        }
        const auto line = text.next_line();
        if (!line) {
            throw BadField("it has no content");
        }
        const Json content = parse_object(*line);
        return read(Fields(content));
    } catch (const BadField& bad) {
        throw text.damaged(bad.what());
    }
}

// A file that has the name protects, whatever is in it. Throws SystemError when nobody can tell.
std::optional<Protection> read_protection(const Repository& repository,
                                          std::string_view backup_id) {
    try {
        return read_mark(repository, backup_id, protected_mark, [](const Fields& fields) {
            return Protection{fields.time("when"),
                              fields.has("reason") ? fields.text("reason") : ""};
        });
    } catch (const SystemError& error) {
        if (error.code() != ErrorCode::not_found) {
            throw;
        }
        return std::nullopt;
    } catch (const Error&) {
        return Protection{};
    }
}

// For who only looks.
std::optional<Protection> look_for_protection(const Repository& repository,
                                              std::string_view backup_id) {
    try {
        return read_protection(repository, backup_id);
    } catch (const SystemError&) {
        return Protection{};
    }
}

std::optional<Check> read_check(const Repository& repository, std::string_view backup_id,
                                CheckKind kind) {
    const auto words = words_of(kind);
    try {
        return read_mark(repository, backup_id, words.mark, [&](const Fields& fields) {
            Check check;
            check.when = fields.time("when");
            check.findings = fields.number("findings");
            check.duration_us = fields.number("duration_us");
            check.bytes = fields.number("bytes");
            check.program = fields.text("program");
            check.rabbitmq_version =
                kind == CheckKind::booted ? fields.text("rabbitmq_version") : "";
            if (fields.text("outcome") != (check.findings == 0 ? words.good : words.bad)) {
                throw BadField("its outcome is not what its findings say");
            }
            return check;
        });
    } catch (const Error&) {
        return std::nullopt;
    }
}

}  // namespace

MarksLock::MarksLock(const Repository& repository, std::chrono::milliseconds patience)
    : file_(repository.file_system().open_or_create(repository.directory() / "repository.json")) {
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

Marks read_marks(const Repository& repository, std::string_view backup_id) {
    return {look_for_protection(repository, backup_id),
            read_check(repository, backup_id, CheckKind::verified),
            read_check(repository, backup_id, CheckKind::booted)};
}

bool is_protected(const Repository& repository, std::string_view backup_id) {
    return read_protection(repository, backup_id).has_value();
}

Error protected_error(const Repository& repository, std::string_view backup_id) {
    const auto protection = look_for_protection(repository, backup_id);
    const bool has_reason = protection && !protection->reason.empty();
    return {ErrorCode::failed,
            "backup " + std::string(backup_id) + " is protected" +
                (has_reason ? ": " + protection->reason : ""),
            "If it is really to go, run `rabbitmq-hot-backup unprotect " + std::string(backup_id) +
                "` first."};
}

void protect(const Repository& repository, std::string_view backup_id,
             const Protection& protection) {
    OrderedJson content{{"when", to_text(protection.when.value_or(now()))}};
    if (!protection.reason.empty()) {
        content["reason"] = protection.reason;
    }
    write_mark(repository, backup_id, protected_mark, content);
}

bool unprotect(const Repository& repository, std::string_view backup_id) {
    const MarksLock lock(repository);
    if (!repository.has_backup(backup_id)) {
        throw repository.no_such_backup(backup_id);
    }
    if (!is_protected(repository, backup_id)) {
        return false;
    }
    repository.file_system().remove(mark_path(repository, backup_id, protected_mark));
    repository.file_system().sync_directory(repository.marks());
    return true;
}

void record_check(const Repository& repository, std::string_view backup_id, CheckKind kind,
                  const Check& check) {
    const auto words = words_of(kind);
    OrderedJson content{{"when", to_text(check.when)},
                        {"outcome", check.findings == 0 ? words.good : words.bad},
                        {"findings", check.findings},
                        {"program", check.program},
                        {"duration_us", check.duration_us},
                        {"bytes", check.bytes}};
    if (kind == CheckKind::booted) {
        content["rabbitmq_version"] = check.rabbitmq_version;
    }
    write_mark(repository, backup_id, words.mark, content);
}

std::vector<std::string> list_marks(const Repository& repository, std::string_view backup_id) {
    std::vector<std::string> names;
    for (const std::string_view mark :
         {words_of(CheckKind::booted).mark, protected_mark, words_of(CheckKind::verified).mark}) {
        if (repository.file_system().status(mark_path(repository, backup_id, mark))) {
            names.push_back(mark_name(backup_id, mark));
        }
    }
    return names;
}

void sweep_marks(const Repository& repository, const std::vector<std::string>& backup_ids) {
    std::vector<std::string> stray = list_directory(repository);
    std::erase_if(stray, [&](const std::string& name) {
        const auto id = name.substr(0, name.find('Z') + 1);
        const bool left_over = name.ends_with(temporary_suffix) ||
                               !std::binary_search(backup_ids.begin(), backup_ids.end(), id);
        return !is_backup_id(id) || !left_over;
    });
    if (stray.empty()) {
        return;
    }
    try {
        // Who writes a mark just now has such a temporary file.
        const MarksLock lock(repository, std::chrono::milliseconds{0});
        for (const std::string& name : stray) {
            repository.file_system().remove(repository.marks() / name);
        }
    } catch (const Error& error) {
        if (error.code() != ErrorCode::locked) {
            throw;
        }
    }
}

}  // namespace hot_backup
