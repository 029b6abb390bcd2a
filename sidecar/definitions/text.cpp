#include "sidecar/definitions/text.hpp"

#include <cstdint>

namespace hot_backup {
namespace {

constexpr std::string_view base64_alphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::size_t base64_line = 76;

std::uint32_t byte_at(std::string_view bytes, std::size_t n) noexcept {
    return static_cast<unsigned char>(bytes[n]);
}

// The length of the sequence at the start of `bytes` (never empty), or 0 when it is malformed.
std::size_t sequence_length(std::string_view bytes) noexcept {
    const auto lead = byte_at(bytes, 0);
    if (lead < 0x80) {
        return 1;
    }
    // The second byte's range is what rules out overlong forms, surrogates and code points beyond
    // U+10FFFF.
    std::size_t length = 0;
    std::uint32_t low = 0x80;
    std::uint32_t high = 0xBF;
    if (lead >= 0xC2 && lead <= 0xDF) {
        length = 2;
    } else if (lead >= 0xE0 && lead <= 0xEF) {
        length = 3;
        low = lead == 0xE0 ? 0xA0 : low;
        high = lead == 0xED ? 0x9F : high;
    } else if (lead >= 0xF0 && lead <= 0xF4) {
        length = 4;
        low = lead == 0xF0 ? 0x90 : low;
        high = lead == 0xF4 ? 0x8F : high;
    }
    if (length == 0 || bytes.size() < length || byte_at(bytes, 1) < low ||
        byte_at(bytes, 1) > high) {
        return 0;
    }
    for (std::size_t n = 2; n < length; ++n) {
        if ((byte_at(bytes, n) & 0xC0U) != 0x80) {
            return 0;
        }
    }
    return length;
}

}  // namespace

std::size_t valid_utf8_prefix(std::string_view bytes) noexcept {
    std::size_t valid = 0;
    while (valid < bytes.size()) {
        const auto length = sequence_length(bytes.substr(valid));
        if (length == 0) {
            break;
        }
        valid += length;
    }
    return valid;
}

std::string replace_invalid_utf8(std::string_view bytes) {
    std::string text;
    while (!bytes.empty()) {
        const auto valid = valid_utf8_prefix(bytes);
        text += bytes.substr(0, valid);
        bytes.remove_prefix(valid);
        if (!bytes.empty()) {
            text += replacement_character;
            bytes.remove_prefix(1);
        }
    }
    return text;
}

std::string to_base64(std::string_view bytes) {
    std::string text;
    text.reserve((bytes.size() + 2) / 3 * 4);
    for (std::size_t n = 0; n < bytes.size(); n += 3) {
        const auto left = bytes.size() - n;
        const std::uint32_t group = byte_at(bytes, n) << 16U |
                                    (left > 1 ? byte_at(bytes, n + 1) << 8U : 0U) |
                                    (left > 2 ? byte_at(bytes, n + 2) : 0U);
        text += base64_alphabet[group >> 18U];
        text += base64_alphabet[group >> 12U & 63U];
        text += left > 1 ? base64_alphabet[group >> 6U & 63U] : '=';
        text += left > 2 ? base64_alphabet[group & 63U] : '=';
    }
    return text;
}

std::string exported_argument(std::string_view bytes) {
    if (valid_utf8_prefix(bytes) == bytes.size()) {
        return std::string(bytes);
    }
    std::string text = "Not UTF-8, base64 is: ";
    const auto encoded = to_base64(bytes);
    std::size_t n = 0;
    for (; encoded.size() - n >= base64_line; n += base64_line) {
        text.append(encoded, n, base64_line).push_back('\n');
    }
    return text.append(encoded, n);
}

}  // namespace hot_backup
