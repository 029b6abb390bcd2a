// Adler-32 as its definition says it, for what the tests read and write of Ra's write-ahead logs.
#pragma once

#include <cstdint>
#include <string_view>

namespace harness {

inline std::uint32_t adler32(std::string_view bytes) {
    constexpr std::uint32_t modulus = 65521;
    std::uint32_t low = 1;
    std::uint32_t high = 0;
    for (const char byte : bytes) {
        low = (low + static_cast<unsigned char>(byte)) % modulus;
        high = (high + low) % modulus;
    }
    return high << 16U | low;
}

}  // namespace harness
