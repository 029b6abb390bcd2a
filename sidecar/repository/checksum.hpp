// XXH3-128, the digest of everything in a repository: docs/format.md. Only xxh3.c knows the xxHash
// library.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace hot_backup {

// In the canonical form: big-endian bytes.
struct Digest {
    std::array<std::uint8_t, 16> bytes{};

    bool operator==(const Digest&) const = default;
    // 32 lower-case hexadecimal digits.
    std::string hex() const;
    // Nothing unless `text` is exactly what hex() writes.
    static std::optional<Digest> from_hex(std::string_view text);
};

Digest checksum(std::string_view bytes);

// The digest of bytes that come in pieces.
class Checksum {
public:
    Checksum();
    ~Checksum();
    Checksum(Checksum&&) noexcept;
    Checksum& operator=(Checksum&&) noexcept;

    void update(std::string_view bytes);
    // Of everything since the beginning or the last reset().
    Digest digest() const;
    void reset();

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace hot_backup
