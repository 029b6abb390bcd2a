#include "sidecar/repository/checksum.hpp"

#include "sidecar/repository/xxh3.h"

#include <cstddef>

namespace hot_backup {
namespace {

// For the machine that this runs on, not the one it was built on.
const xxh3_functions& xxh3() {
#ifdef HOT_BACKUP_XXH3_AVX2
    static const xxh3_functions& best = __builtin_cpu_supports("avx2") ? xxh3_avx2 : xxh3_generic;
    return best;
#else
    return xxh3_generic;
#endif
}

int hex_value(char digit) {
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    if (digit >= 'a' && digit <= 'f') {
        return digit - 'a' + 10;
    }
    return -1;
}

}  // namespace

std::string Digest::hex() const {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    text.reserve(2 * bytes.size());
    for (const unsigned byte : bytes) {
        text += digits[byte >> 4U];
        text += digits[byte & 15U];
    }
    return text;
}

std::optional<Digest> Digest::from_hex(std::string_view text) {
    Digest digest;
    if (text.size() != 2 * digest.bytes.size()) {
        return std::nullopt;
    }
    for (std::size_t i = 0; i < digest.bytes.size(); ++i) {
        const int high = hex_value(text[2 * i]);
        const int low = hex_value(text[2 * i + 1]);
        if (high < 0 || low < 0) {
            return std::nullopt;
        }
        digest.bytes[i] = static_cast<std::uint8_t>(high * 16 + low);
    }
    return digest;
}

Digest checksum(std::string_view bytes) {
    Digest digest;
    xxh3().hash(bytes.data(), bytes.size(), digest.bytes.data());
    return digest;
}

struct Checksum::State {
    alignas(64) std::array<std::byte, xxh3_state_size> bytes;
};

Checksum::Checksum() : state_(std::make_unique<State>()) {
    reset();
}

Checksum::~Checksum() = default;
Checksum::Checksum(Checksum&&) noexcept = default;
Checksum& Checksum::operator=(Checksum&&) noexcept = default;

void Checksum::update(std::string_view bytes) {
    xxh3().update(state_->bytes.data(), bytes.data(), bytes.size());
}

Digest Checksum::digest() const {
    Digest digest;
    xxh3().digest(state_->bytes.data(), digest.bytes.data());
    return digest;
}

void Checksum::reset() {
    xxh3().reset(state_->bytes.data());
}

}  // namespace hot_backup
