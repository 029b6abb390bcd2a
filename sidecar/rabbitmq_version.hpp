// Versions of RabbitMQ, for what depends on them.
#pragma once

#include <charconv>
#include <compare>
#include <optional>
#include <string_view>

namespace hot_backup {

struct RabbitmqVersion {
    unsigned major = 0;
    unsigned minor = 0;
    unsigned patch = 0;
    auto operator<=>(const RabbitmqVersion&) const = default;

    // {3, 10, 8} of "3.10.8" and of "3.10.8-rc.1"; nothing, which is less than every version, of
    // what does not begin with three numbers.
    static std::optional<RabbitmqVersion> of(std::string_view text) {
        RabbitmqVersion version;
        const char* const end = text.data() + text.size();
        const char* at = text.data();
        for (unsigned* number : {&version.major, &version.minor, &version.patch}) {
            const auto [stop, error] = std::from_chars(at, end, *number);
            if (error != std::errc{}) {
                return std::nullopt;
            }
            at = stop != end && *stop == '.' ? stop + 1 : stop;
        }
        return version;
    }
};

}  // namespace hot_backup
