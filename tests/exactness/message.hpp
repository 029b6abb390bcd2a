// The messages of the exactness tests: each has an ID of its own and can tell whether it is whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace exactness {

inline constexpr std::size_t smallest_body = 100;
inline constexpr std::size_t largest_body = 64 * 1024;

// XXH3-128 of all that follows, the ID, then bytes that no other message has.
std::string make_body(std::uint64_t id, std::size_t size);

// The ID; nothing when a byte is not what it was.
std::optional<std::uint64_t> id_of(std::string_view body);

}  // namespace exactness
