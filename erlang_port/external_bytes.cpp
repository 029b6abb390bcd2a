#include "erlang_port/external_bytes.hpp"

#include "erlang_port/error.hpp"

#include <charconv>
#include <cmath>
#include <string>

namespace erlang {

std::optional<double> parse_old_float(std::string_view digits) noexcept {
    const auto text = digits.substr(0, digits.find('\0'));
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) {
        return std::nullopt;
    }
    return value;
}

std::optional<std::size_t> count_utf8_characters(std::string_view bytes) noexcept {
    std::size_t characters = 0;
    for (std::size_t i = 0; i < bytes.size(); ++characters) {
        const auto first = static_cast<unsigned char>(bytes[i++]);
        if (first < 0x80) {
            continue;
        }
        const std::size_t more = first < 0xc2 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
        if (more == 0 || first > 0xf4 || more > bytes.size() - i) {
            return std::nullopt;
        }
        std::uint32_t code = first & (0x3fU >> more);
        for (std::size_t n = 0; n < more; ++n) {
            const auto next = static_cast<unsigned char>(bytes[i++]);
            if ((next & 0xc0U) != 0x80) {
                return std::nullopt;
            }
            code = (code << 6) | (next & 0x3fU);
        }
        constexpr std::uint32_t smallest[] = {0, 0x80, 0x800, 0x10000};
        if (code < smallest[more] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) {
            return std::nullopt;
        }
    }
    return characters;
}

void malformed_term(std::string_view what, std::size_t offset) {
    throw hot_backup::Error(
        hot_backup::ErrorCode::failed,
        "malformed Erlang term at byte " + std::to_string(offset) + ": " + std::string(what),
        "Check that the plugin and this program come from the same release; if the bytes came from "
        "a backup, verify it.");
}

}  // namespace erlang
