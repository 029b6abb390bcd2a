#include "tests/capture/raft_entries.hpp"

#include "tests/harness/adler32.hpp"

namespace capture_test {

namespace {

std::string big_endian(std::uint64_t value, int size) {
    std::string bytes;
    for (int shift = 8 * (size - 1); shift >= 0; shift -= 8) {
        bytes += static_cast<char>(value >> shift & 0xffU);
    }
    return bytes;
}

}  // namespace

std::string raft_log(std::string_view entries) {
    return std::string("RAWA\x01").append(entries);
}

std::string raft_entry(std::string_view data, const RaftEntryOptions& options) {
    const std::string uid = "2F_QQQ1ABCDEFGH";
    const std::string checked = big_endian(7, 8) + big_endian(1, 8) + std::string(data);
    const std::string writer = options.known ? big_endian(0x400000, 3)
                                             : big_endian(0, 3) + big_endian(uid.size(), 2) + uid;
    return writer + big_endian(options.adler32.value_or(harness::adler32(checked)), 4) +
           big_endian(data.size(), 4) + checked;
}

}  // namespace capture_test
