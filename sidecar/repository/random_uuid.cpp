#include "sidecar/repository/random_uuid.hpp"

#include <cstddef>
#include <random>
#include <string_view>

namespace hot_backup {

std::string random_uuid() {
    constexpr std::string_view digits = "0123456789abcdef";
    // Version 4, variant 1.
    std::string uuid = "xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx";
    std::random_device random;
    std::uniform_int_distribution<std::size_t> any_digit(0, 15);
    for (char& c : uuid) {
        if (c == 'x') {
            c = digits[any_digit(random)];
        } else if (c == 'y') {
            c = digits[8 + any_digit(random) % 4];
        }
    }
    return uuid;
}

}  // namespace hot_backup
