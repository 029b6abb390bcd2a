#include "sidecar/transfer/random_text.hpp"

#include "erlang_port/error.hpp"

#include <sys/random.h>

#include <array>
#include <cstdint>

namespace hot_backup {

std::string random_text() {
    std::array<std::uint8_t, 16> bytes{};
    if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
        throw Error(ErrorCode::failed, "the kernel gives no random numbers");
    }
    std::string text;
    for (const auto byte : bytes) {
        constexpr const char* digits = "0123456789abcdef";
        text.push_back(digits[byte >> 4U]);
        text.push_back(digits[byte & 0xFU]);
    }
    return text;
}

}  // namespace hot_backup
