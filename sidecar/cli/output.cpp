#include "sidecar/cli/output.hpp"

#include "sidecar/cli/exit_code.hpp"

#include <unistd.h>

#include <array>
#include <cmath>
#include <cstdio>
#include <iostream>

namespace hot_backup {
namespace {

std::uint64_t percent(std::uint64_t done, std::uint64_t total) {
    return done < total ? done * 100 / total : 100;
}

std::string format_whole_seconds(std::uint64_t seconds) {
    return seconds < 60 ? std::to_string(seconds) + " s"
                        : format_duration(static_cast<double>(seconds));
}

}  // namespace

void Pace::begin(Time now, std::uint64_t done) {
    begin_ = now;
    done_at_begin_ = done;
}

std::optional<std::uint64_t> Pace::bytes_per_second(Time now, std::uint64_t done) const {
    const double seconds = std::chrono::duration<double>(now - begin_).count();
    if (seconds < 0.5 || done <= done_at_begin_) {
        return std::nullopt;
    }
    return static_cast<std::uint64_t>(static_cast<double>(done - done_at_begin_) / seconds);
}

std::optional<std::uint64_t> Pace::seconds_left(Time now, std::uint64_t done,
                                                std::uint64_t total) const {
    const auto speed = bytes_per_second(now, done);
    if (total == 0 || !speed || *speed == 0) {
        return std::nullopt;
    }
    // The total is an estimate, which the work may exceed.
    return done < total ? (total - done + *speed - 1) / *speed : 0;
}

Output::Output(bool json) : json_(json), terminal_(!json && ::isatty(STDERR_FILENO) == 1) {}

void Output::progress(std::string_view phase, std::uint64_t done, std::uint64_t total) {
    const auto now = std::chrono::steady_clock::now();
    if (phase != phase_) {
        phase_ = phase;
        pace_.begin(now, done);
    } else if (done != total && now - shown_at_ < std::chrono::milliseconds(200)) {
        return;
    }
    shown_at_ = now;
    if (json_) {
        progress_message(now, done, total);
    } else if (terminal_) {
        progress_line(now, done, total);
    }
}

void Output::progress_message(Time now, std::uint64_t done, std::uint64_t total) {
    OrderedJson status{{"message_type", "status"}, {"phase", phase_}, {"bytes_done", done}};
    if (total > 0) {
        status["bytes_total"] = total;
    }
    if (const auto speed = pace_.bytes_per_second(now, done)) {
        status["bytes_per_second"] = *speed;
    }
    if (const auto left = pace_.seconds_left(now, done, total)) {
        status["seconds_remaining"] = *left;
    }
    std::cout << to_line(status) << '\n' << std::flush;
}

void Output::progress_line(Time now, std::uint64_t done, std::uint64_t total) {
    std::cerr << "\r\033[K" << phase_ << ": " << format_bytes(done);
    if (total > 0) {
        std::cerr << " of " << format_bytes(total) << " (" << percent(done, total) << " %)";
    }
    if (const auto speed = pace_.bytes_per_second(now, done)) {
        std::cerr << ", " << format_bytes(*speed) << "/s";
    }
    if (const auto left = pace_.seconds_left(now, done, total); left && *left > 0) {
        std::cerr << ", " << format_whole_seconds(*left) << " left";
    }
    std::cerr << std::flush;
    progress_shown_ = true;
}

void Output::line(std::string_view text) {
    if (!json_) {
        clear_progress();
        std::cout << text << '\n';
    }
}

void Output::summary(OrderedJson object) {
    OrderedJson typed{{"message_type", "summary"}};
    typed.update(object);
    message(typed);
}

void Output::message(const OrderedJson& object) {
    if (json_) {
        std::cout << to_line(object) << '\n';
    }
}

void Output::warning(std::string_view text) {
    if (!json_) {
        clear_progress();
        std::cout << std::flush;
        std::cerr << "WARNING: " << printable(text) << '\n';
    }
}

std::string error_line(const Error& error) {
    return to_line(OrderedJson{{"message_type", "error"},
                               {"exit_code", int{exit_code(error.code())}},
                               {"message", error.what()},
                               {"hint", error.hint()}});
}

void Output::error(const Error& error) {
    if (json_) {
        std::cout << error_line(error) << '\n' << std::flush;
        return;
    }
    clear_progress();
    std::cout << std::flush;
    std::cerr << "ERROR: " << printable(error.what()) << '\n';
    if (!error.hint().empty()) {
        std::cerr << "HINT: " << printable(error.hint()) << '\n';
    }
}

void Output::finish() {
    if (!std::cout.flush()) {
        throw Error(ErrorCode::failed, "cannot write to standard output",
                    "Check that the disk or the program it goes to takes all of it.");
    }
}

void Output::clear_progress() {
    if (progress_shown_) {
        std::cerr << "\r\033[K" << std::flush;
        progress_shown_ = false;
    }
}

std::string format_bytes(std::uint64_t bytes) {
    constexpr std::array units{"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    if (bytes < 1000) {
        return std::to_string(bytes) + " B";
    }
    double value = static_cast<double>(bytes);
    std::size_t unit = 0;
    while (value >= 999.95 && unit + 1 < units.size()) {
        value /= 1000;
        ++unit;
    }
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.1f %s", value, units[unit]);
    return text.data();
}

std::string format_duration(double seconds) {
    std::array<char, 48> text{};
    if (seconds < 0.9995) {
        std::snprintf(text.data(), text.size(), "%.0f ms", seconds * 1000);
    } else if (seconds < 59.95) {
        std::snprintf(text.data(), text.size(), "%.1f s", seconds);
    } else {
        const auto whole = std::lround(seconds);
        std::snprintf(text.data(), text.size(), "%ld min %ld s", whole / 60, whole % 60);
    }
    return text.data();
}

std::string format_pause(std::uint64_t microseconds) {
    std::array<char, 48> text{};
    std::snprintf(text.data(), text.size(), "%.1f ms", static_cast<double>(microseconds) / 1000);
    return text.data();
}

std::string plural(std::uint64_t count, std::string_view one, std::string_view many) {
    return std::to_string(count).append(" ").append(count == 1 ? one : many);
}

std::string pad(std::string_view text, std::size_t width) {
    std::size_t columns = 0;
    for (const char byte : text) {
        columns += (static_cast<unsigned char>(byte) & 0xC0U) != 0x80U;
    }
    std::string padded(text);
    padded.append(width > columns ? width - columns : 0, ' ');
    return padded;
}

std::string printable(std::string_view text) {
    std::string result;
    for (const char byte : text) {
        const auto code = static_cast<unsigned char>(byte);
        if (code < 0x20 || code == 0x7F) {
            std::array<char, 8> escaped{};
            std::snprintf(escaped.data(), escaped.size(), "\\x%02x", static_cast<unsigned>(code));
            result += escaped.data();
        } else {
            result += byte;
        }
    }
    return result;
}

}  // namespace hot_backup
