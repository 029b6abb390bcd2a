#include "sidecar/repository/checksum.hpp"

#include <algorithm>
#include <new>

// On x86 the library chooses the widest vector instructions of the machine that it runs on, not of
// the one it was built on.
#if defined(__x86_64__) || defined(__i386__)
#include <xxh_x86dispatch.h>
#else
#include <xxhash.h>
#endif

namespace hot_backup {
namespace {

Digest to_digest(XXH128_hash_t hash) {
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, hash);
    Digest digest;
    std::copy(std::begin(canonical.digest), std::end(canonical.digest), digest.bytes.begin());
    return digest;
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
    return to_digest(XXH3_128bits(bytes.data(), bytes.size()));
}

struct Checksum::State {
    // The library wants its state aligned to 64 bytes, and allocates it so.
    struct Free {
        void operator()(XXH3_state_t* state) const noexcept { XXH3_freeState(state); }
    };
    std::unique_ptr<XXH3_state_t, Free> xxh3{XXH3_createState()};
};

Checksum::Checksum() : state_(std::make_unique<State>()) {
    if (!state_->xxh3) {
        throw std::bad_alloc();
    }
    reset();
}

Checksum::~Checksum() = default;
Checksum::Checksum(Checksum&&) noexcept = default;
Checksum& Checksum::operator=(Checksum&&) noexcept = default;

void Checksum::update(std::string_view bytes) {
    XXH3_128bits_update(state_->xxh3.get(), bytes.data(), bytes.size());
}

Digest Checksum::digest() const {
    return to_digest(XXH3_128bits_digest(state_->xxh3.get()));
}

void Checksum::reset() {
    XXH3_128bits_reset(state_->xxh3.get());
}

}  // namespace hot_backup
