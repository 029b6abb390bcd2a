#include "sidecar/repository/marks.hpp"

#include "sidecar/repository/identifier.hpp"
#include "sidecar/repository/json_fields.hpp"

#include <algorithm>
#include <stdexcept>

namespace hot_backup {
namespace {

constexpr std::string_view protected_mark = "protected";

struct CheckWords {
    std::string_view mark;
    std::string_view good;
    std::string_view bad;
};

CheckWords words_of(CheckKind kind) {
    return kind == CheckKind::verified ? CheckWords{"verified", "intact", "damaged"}
                                       : CheckWords{"booted", "same", "differs"};
}

// The marks/ directory exists from the first mark on.
std::vector<std::string> list_directory(const Repository& repository) {
    auto& file_system = repository.file_system();
    return file_system.status(repository.marks()) ? file_system.list(repository.marks())
                                                  : std::vector<std::string>{};
}

// A file that has the name protects, whatever is in it. Throws SystemError when nobody can tell.
std::optional<Protection> read_protection(const Repository& repository,
                                          std::string_view backup_id) {
    try {
        const auto lines = read_mark(repository, backup_id, protected_mark);
        const Fields fields(lines.front());
        return Protection{fields.time("when"), fields.has("reason") ? fields.text("reason") : ""};
    } catch (const SystemError& error) {
        if (error.code() != ErrorCode::not_found) {
            throw;
        }
        return std::nullopt;
    } catch (const std::runtime_error&) {
        return Protection{};  // damaged, or of a newer version
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

Check check_of(const Fields& fields, CheckKind kind) {
    const auto words = words_of(kind);
    Check check;
    check.when = fields.time("when");
    check.findings = fields.number("findings");
    check.duration_us = fields.number("duration_us");
    check.bytes = fields.number("bytes");
    check.program = fields.text("program");
    check.rabbitmq_version = kind == CheckKind::booted ? fields.text("rabbitmq_version") : "";
    if (fields.text("outcome") != (check.findings == 0 ? words.good : words.bad)) {
        throw BadField("its outcome is not what its findings say");
    }
    return check;
}

std::optional<Check> read_check(const Repository& repository, std::string_view backup_id,
                                CheckKind kind) {
    try {
        const auto lines = read_mark(repository, backup_id, words_of(kind).mark);
        return check_of(Fields(lines.front()), kind);
    } catch (const std::runtime_error&) {
        return std::nullopt;  // there is none, or it cannot be read
    }
}

}  // namespace

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
    return {ErrorCode::kept,
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
    write_mark(repository, MarksLock(repository), backup_id, protected_mark, {content});
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
                  const Check& check, const std::vector<OrderedJson>& findings) {
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
    std::vector<OrderedJson> lines{std::move(content)};
    const auto kept = std::min(findings.size(), most_kept_findings);
    lines.insert(lines.end(), findings.begin(),
                 findings.begin() + static_cast<std::ptrdiff_t>(kept));
    write_mark(repository, MarksLock(repository), backup_id, words.mark, lines);
}

std::vector<Json> read_findings(const Repository& repository, std::string_view backup_id,
                                CheckKind kind) {
    try {
        auto lines = read_mark(repository, backup_id, words_of(kind).mark);
        check_of(Fields(lines.front()), kind);
        lines.erase(lines.begin());
        return lines;
    } catch (const std::runtime_error&) {
        return {};
    }
}

std::vector<std::string> list_marks(const Repository& repository, std::string_view backup_id) {
    std::vector<std::string> names;
    for (const std::string_view mark : {words_of(CheckKind::booted).mark, log_mark, protected_mark,
                                        words_of(CheckKind::verified).mark}) {
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
        const bool left_over = name.ends_with(unfinished_mark) ||
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
