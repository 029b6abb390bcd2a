#include "tests/exactness/message.hpp"

#include "sidecar/repository/checksum.hpp"

#include <algorithm>
#include <cstring>
#include <random>

namespace exactness {

namespace {

constexpr std::size_t digest_size = sizeof hot_backup::Digest::bytes;
constexpr std::size_t head_size = digest_size + sizeof(std::uint64_t);

}  // namespace

std::string make_body(std::uint64_t id, std::size_t size) {
    std::string body(std::max(size, head_size), '\0');
    std::minstd_rand filler(static_cast<std::minstd_rand::result_type>(id));
    for (std::size_t n = head_size; n + sizeof(std::uint32_t) <= body.size();
         n += sizeof(std::uint32_t)) {
        const auto word = static_cast<std::uint32_t>(filler());
        std::memcpy(body.data() + n, &word, sizeof word);
    }
    std::memcpy(body.data() + digest_size, &id, sizeof id);
    const auto digest = hot_backup::checksum(std::string_view(body).substr(digest_size));
    std::memcpy(body.data(), digest.bytes.data(), digest_size);
    return body;
}

std::optional<std::uint64_t> id_of(std::string_view body) {
    if (body.size() < head_size) {
        return std::nullopt;
    }
    const auto digest = hot_backup::checksum(body.substr(digest_size));
    if (std::memcmp(body.data(), digest.bytes.data(), digest_size) != 0) {
        return std::nullopt;
    }
    std::uint64_t id = 0;
    std::memcpy(&id, body.data() + digest_size, sizeof id);
    return id;
}

}  // namespace exactness
