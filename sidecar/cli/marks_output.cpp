#include "sidecar/cli/marks_output.hpp"

#include "sidecar/engine/version.hpp"

#include <algorithm>

namespace hot_backup {
namespace {

const char* outcome_of(const Check& check, CheckKind kind) {
    if (kind == CheckKind::verified) {
        return check.findings == 0 ? "intact" : "damaged";
    }
    return check.findings == 0 ? "same" : "differs";
}

double seconds_of(const Check& check) {
    return static_cast<double>(check.duration_us) / 1e6;
}

OrderedJson to_json(const std::optional<Check>& check, CheckKind kind) {
    if (!check) {
        return nullptr;
    }
    OrderedJson json{{"when", to_text(check->when)}, {"outcome", outcome_of(*check, kind)},
                     {"findings", check->findings},  {"seconds", seconds_of(*check)},
                     {"bytes", check->bytes},        {"program", check->program}};
    if (kind == CheckKind::booted) {
        json["rabbitmq_version"] = check->rabbitmq_version;
    }
    return json;
}

std::string age_of(const Check& check, Timestamp now) {
    return ' ' + format_age(std::chrono::duration_cast<std::chrono::seconds>(now - check.when));
}

}  // namespace

void add_marks(OrderedJson& json, const Marks& marks) {
    json["protected"] = marks.protection.has_value();
    json["protection"] = nullptr;
    if (const auto& protection = marks.protection) {
        json["protection"] = {{"when", nullptr}, {"reason", protection->reason}};
        if (protection->when) {
            json["protection"]["when"] = to_text(*protection->when);
        }
    }
    json["verified"] = to_json(marks.verified, CheckKind::verified);
    json["booted"] = to_json(marks.booted, CheckKind::booted);
}

std::string describe_checks(const Marks& marks, Timestamp now) {
    std::string text;
    if (const auto& check = marks.verified) {
        text += (check->findings == 0 ? "intact" : "DAMAGED") + age_of(*check, now);
    }
    if (const auto& check = marks.booted) {
        text += text.empty() ? "" : ", ";
        text += (check->findings == 0 ? "booted" : "DIFFERS") + age_of(*check, now);
    }
    return text.empty() ? "never" : text;
}

std::string describe_check(const Check& check, CheckKind kind) {
    return (kind == CheckKind::booted ? "by booting " : "by checksums ") + to_text(check.when) +
           ": " + describe_outcome(check, kind);
}

std::string describe_outcome(const Check& check, CheckKind kind) {
    const bool booted = kind == CheckKind::booted;
    std::string text = outcome_of(check, kind);
    if (check.findings > 0) {
        text += booted ? ", " + plural(check.findings, "difference", "differences")
                       : ", " + plural(check.findings, "finding", "findings");
    }
    text += "; " + format_bytes(check.bytes) + " in " + format_duration(seconds_of(check)) +
            ", version " + printable(check.program);
    return booted ? text + ", RabbitMQ " + printable(check.rabbitmq_version) : text;
}

std::string format_age(std::chrono::seconds age) {
    const auto seconds = std::max<std::int64_t>(age.count(), 0);
    if (seconds < 60) {
        return std::to_string(seconds) + " s";
    }
    if (seconds < 3600) {
        return std::to_string(seconds / 60) + " min";
    }
    constexpr std::int64_t hour = 3600;
    return seconds < 48 * hour ? std::to_string(seconds / hour) + " h"
                               : std::to_string(seconds / (24 * hour)) + " d";
}

bool record_or_warn(const Repository& repository, std::string_view backup_id, CheckKind kind,
                    const Check& check, const std::vector<OrderedJson>& findings, Output& output) {
    try {
        record_check(repository, backup_id, kind, check, findings);
        log_or_warn(repository, backup_id,
                    {check.when, kind == CheckKind::booted ? "booted" : "verified",
                     describe_outcome(check, kind)},
                    output);
        return true;
    } catch (const Error& error) {
        output.warning("the backup does not remember that it was verified: " +
                       std::string(error.what()));
        return false;
    }
}

void log_or_warn(const Repository& repository, std::string_view backup_id, LogEvent event,
                 Output& output) {
    try {
        append_to_log(repository, backup_id, std::move(event));
    } catch (const Error& error) {
        output.warning("the log of the backup lacks this: " + std::string(error.what()));
    }
}

Check finished_check(std::chrono::steady_clock::time_point begin, std::uint64_t findings,
                     std::uint64_t bytes, std::string rabbitmq_version) {
    const auto duration = std::chrono::duration_cast<std::chrono::microseconds>(
        std::chrono::steady_clock::now() - begin);
    return {now(),
            findings,
            static_cast<std::uint64_t>(duration.count()),
            bytes,
            std::string(program_version),
            std::move(rabbitmq_version)};
}

}  // namespace hot_backup
