#include "sidecar/repository/tar.hpp"

#include "erlang_port/error.hpp"

#include <array>
#include <cstdio>

namespace hot_backup {
namespace {

constexpr std::size_t block_size = 512;
constexpr std::uint64_t max_plain_size = (std::uint64_t{1} << 33) - 1;  // eleven octal digits

// Where the fields of a header begin.
constexpr std::size_t name_at = 0;
constexpr std::size_t mode_at = 100;
constexpr std::size_t uid_at = 108;
constexpr std::size_t gid_at = 116;
constexpr std::size_t size_at = 124;
constexpr std::size_t mtime_at = 136;
constexpr std::size_t checksum_at = 148;
constexpr std::size_t type_at = 156;
constexpr std::size_t magic_at = 257;

// `digits` octal digits; the field ends with a NUL.
void put_octal(std::string& header, std::size_t at, int digits, std::uint64_t number) {
    std::array<char, 24> text{};
    std::snprintf(text.data(), text.size(), "%0*llo", digits,
                  static_cast<unsigned long long>(number));
    header.replace(at, static_cast<std::size_t>(digits), text.data());
}

std::string header_block(const std::string& path, char type, std::uint64_t size, Timestamp mtime) {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(mtime).time_since_epoch().count();
    std::string header(block_size, '\0');
    header.replace(name_at, path.size(), path);
    put_octal(header, mode_at, 7, type == '5' ? 0700 : 0600);
    put_octal(header, uid_at, 7, 0);
    put_octal(header, gid_at, 7, 0);
    put_octal(header, size_at, 11, size);
    put_octal(header, mtime_at, 11, seconds < 0 ? 0 : static_cast<std::uint64_t>(seconds));
    header[type_at] = type;
    header.replace(magic_at, 8, std::string_view("ustar\00000", 8));
    // The sum of all bytes, with spaces where it will stand.
    header.replace(checksum_at, 8, 8, ' ');
    unsigned sum = 0;
    for (const char byte : header) {
        sum += static_cast<unsigned char>(byte);
    }
    put_octal(header, checksum_at, 6, sum);
    header[checksum_at + 6] = '\0';
    return header;
}

// "LENGTH KEY=VALUE\n", where the length counts its own digits.
std::string pax_record(const std::string& key, const std::string& value) {
    const std::string rest = ' ' + key + '=' + value + '\n';
    std::string length = std::to_string(rest.size());
    while (length != std::to_string(length.size() + rest.size())) {
        length = std::to_string(length.size() + rest.size());
    }
    return length + rest;
}

}  // namespace

std::string tar_header(const TarEntry& entry) {
    if (entry.path.size() >= mode_at) {
        throw Error(ErrorCode::failed, "\"" + entry.path + "\" is too long a name for an archive",
                    "Report this: it is a mistake in rabbitmq-hot-backup.");
    }
    const char type = entry.path.ends_with('/') ? '5' : '0';
    if (entry.size <= max_plain_size) {
        return header_block(entry.path, type, entry.size, entry.mtime);
    }
    const std::string record = pax_record("size", std::to_string(entry.size));
    return header_block("pax_header", 'x', record.size(), entry.mtime) + record +
           std::string(tar_padding(record.size()), '\0') +
           header_block(entry.path, type, 0, entry.mtime);
}

std::uint64_t tar_padding(std::uint64_t size) {
    return (block_size - size % block_size) % block_size;
}

std::string tar_end() {
    return std::string(2 * block_size, '\0');
}

}  // namespace hot_backup
