#include "sidecar/repository/timestamp.hpp"

#include <array>
#include <cstdio>
#include <ctime>

namespace hot_backup {
namespace {

// Takes `digits` digits off the front.
std::optional<int> take_number(std::string_view& text, std::size_t digits) {
    if (text.size() < digits) {
        return std::nullopt;
    }
    int number = 0;
    for (std::size_t i = 0; i < digits; ++i) {
        if (text[i] < '0' || text[i] > '9') {
            return std::nullopt;
        }
        number = number * 10 + (text[i] - '0');
    }
    text.remove_prefix(digits);
    return number;
}

bool take(std::string_view& text, char expected) {
    if (!text.starts_with(expected)) {
        return false;
    }
    text.remove_prefix(1);
    return true;
}

std::optional<std::chrono::sys_days> take_date(std::string_view& text) {
    const auto year = take_number(text, 4);
    if (!year || !take(text, '-')) {
        return std::nullopt;
    }
    const auto month = take_number(text, 2);
    if (!month || !take(text, '-')) {
        return std::nullopt;
    }
    const auto day = take_number(text, 2);
    if (!day) {
        return std::nullopt;
    }
    const std::chrono::year_month_day date{std::chrono::year{*year},
                                           std::chrono::month{static_cast<unsigned>(*month)},
                                           std::chrono::day{static_cast<unsigned>(*day)}};
    if (!date.ok()) {
        return std::nullopt;
    }
    return date;
}

std::optional<std::chrono::seconds> take_time_of_day(std::string_view& text) {
    const auto hour = take_number(text, 2);
    if (!hour || *hour > 23 || !take(text, ':')) {
        return std::nullopt;
    }
    const auto minute = take_number(text, 2);
    if (!minute || *minute > 59 || !take(text, ':')) {
        return std::nullopt;
    }
    const auto second = take_number(text, 2);
    if (!second || *second > 59) {
        return std::nullopt;
    }
    return std::chrono::hours{*hour} + std::chrono::minutes{*minute} +
           std::chrono::seconds{*second};
}

// Digits beyond the sixth are cut off.
std::optional<std::chrono::microseconds> take_fraction(std::string_view& text) {
    if (!take(text, '.')) {
        return std::chrono::microseconds{0};
    }
    int microseconds = 0;
    std::size_t digits = 0;
    while (auto digit = take_number(text, 1)) {
        if (++digits <= 6) {
            microseconds = microseconds * 10 + *digit;
        }
    }
    if (digits < 1 || digits > 9) {
        return std::nullopt;
    }
    for (; digits < 6; ++digits) {
        microseconds *= 10;
    }
    return std::chrono::microseconds{microseconds};
}

}  // namespace

Timestamp now() {
    return std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now());
}

std::string to_text(Timestamp time) {
    const auto day = std::chrono::floor<std::chrono::days>(time);
    const std::chrono::year_month_day date{day};
    const std::chrono::hh_mm_ss clock{time - day};
    std::array<char, 64> text{};
    const int size = std::snprintf(
        text.data(), text.size(), "%04d-%02u-%02uT%02d:%02d:%02d.%06dZ", int{date.year()},
        unsigned{date.month()}, unsigned{date.day()}, static_cast<int>(clock.hours().count()),
        static_cast<int>(clock.minutes().count()), static_cast<int>(clock.seconds().count()),
        static_cast<int>(clock.subseconds().count()));
    return {text.data(), static_cast<std::size_t>(size)};
}

std::optional<Timestamp> parse_timestamp(std::string_view text) {
    const auto date = take_date(text);
    if (!date || !take(text, 'T')) {
        return std::nullopt;
    }
    const auto clock = take_time_of_day(text);
    if (!clock) {
        return std::nullopt;
    }
    const auto fraction = take_fraction(text);
    if (!fraction || text != "Z") {
        return std::nullopt;
    }
    return *date + *clock + *fraction;
}

std::chrono::seconds local_offset(Timestamp time) {
    const auto seconds = static_cast<std::time_t>(
        std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count());
    std::tm local{};
    return std::chrono::seconds{::localtime_r(&seconds, &local) ? local.tm_gmtoff : 0};
}

}  // namespace hot_backup
