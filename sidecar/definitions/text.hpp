// Bytes as text: what names and arguments need before JSON can carry them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace hot_backup {

// How many bytes at the start of `bytes` are well-formed UTF-8 (RFC 3629: no overlong forms, no
// surrogates).
std::size_t valid_utf8_prefix(std::string_view bytes) noexcept;

inline constexpr std::string_view replacement_character = "\xEF\xBF\xBD";  // U+FFFD
// The text with that in the place of each byte that is no part of well-formed UTF-8.
std::string replace_invalid_utf8(std::string_view bytes);

// RFC 4648 with padding, on one line.
std::string to_base64(std::string_view bytes);

// The string that RabbitMQ exports for the value of an AMQP argument (rabbit_misc:utf8_safe/1): the
// text itself, or "Not UTF-8, base64 is: ..." with a line feed after each 76 characters of base64.
std::string exported_argument(std::string_view bytes);

}  // namespace hot_backup
