// What the checker, the decoder and the encoder of the external term format share. Private to
// erlang_port; the public face is external_term.hpp.
//
// The numbers are those of the ERTS User's Guide, "External Term Format".
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace erlang {

enum class Tag : std::uint8_t {
    new_float = 70,
    bit_binary = 77,
    new_pid = 88,
    new_port = 89,
    newer_reference = 90,
    small_integer = 97,
    integer = 98,
    old_float = 99,
    atom = 100,
    reference = 101,
    port = 102,
    pid = 103,
    small_tuple = 104,
    large_tuple = 105,
    nil = 106,
    string = 107,
    list = 108,
    binary = 109,
    small_big = 110,
    large_big = 111,
    new_fun = 112,
    export_fun = 113,
    new_reference = 114,
    small_atom = 115,
    map = 116,
    atom_utf8 = 118,
    small_atom_utf8 = 119,
    v4_port = 120,
};

inline constexpr std::size_t old_float_length = 31;
inline constexpr std::size_t max_atom_characters = 255;
inline constexpr std::size_t max_reference_words = 5;
inline constexpr std::size_t max_string_length = 65'535;

template <std::size_t length>
std::uint64_t big_endian(const char* bytes) noexcept {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < length; ++i) {
        value = (value << 8) | static_cast<unsigned char>(bytes[i]);
    }
    return value;
}

// A float printed with "%.20e" and padded with zero bytes, as nodes before OTP 17 sent it; nothing
// when it is not a finite number.
std::optional<double> parse_old_float(std::string_view digits) noexcept;

// Nothing when the bytes are not valid UTF-8 (overlong forms and surrogates are not).
std::optional<std::size_t> count_utf8_characters(std::string_view bytes) noexcept;

// Throws the error that tells of bytes which are not a term.
[[noreturn]] void malformed_term(std::string_view what, std::size_t offset);

}  // namespace erlang
