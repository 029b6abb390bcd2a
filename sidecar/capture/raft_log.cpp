#include "sidecar/capture/raft_log.hpp"

#include <algorithm>

namespace hot_backup {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view magic = "RAWA\x01"sv;
constexpr std::uint64_t window_size = std::uint64_t{64} << 10;
// What is checked: index and term, before the data.
constexpr std::uint64_t checked_header_size = 16;
// No entry is shorter than this and ten bytes; Ra writes up to ten beyond what it allocated.
constexpr std::uint64_t least_room = 16;

std::uint64_t big_endian(std::string_view bytes) {
    std::uint64_t value = 0;
    for (const char byte : bytes) {
        value = value << 8 | static_cast<unsigned char>(byte);
    }
    return value;
}

class Adler32 {
public:
    void add(std::string_view bytes) {
        // So many bytes do not overflow.
        constexpr std::size_t stride = 5552;
        for (; !bytes.empty(); bytes.remove_prefix(std::min(stride, bytes.size()))) {
            for (const char byte : bytes.substr(0, stride)) {
                low_ += static_cast<unsigned char>(byte);
                high_ += low_;
            }
            low_ %= modulus;
            high_ %= modulus;
        }
    }
    std::uint32_t value() const { return high_ << 16 | low_; }

private:
    static constexpr std::uint32_t modulus = 65521;
    std::uint32_t low_ = 1;
    std::uint32_t high_ = 0;
};

// The file's bytes, read ahead.
class Window {
public:
    Window(const Descriptor& file, const std::string& path)
        : file_(file), path_(path), buffer_(window_size, '\0') {}

    // At most `window_size`; fewer than `size` only where the file ends.
    std::string_view bytes(std::uint64_t offset, std::uint64_t size) {
        if (offset < begin_ || offset + size > begin_ + held_) {
            begin_ = offset;
            held_ = read_at(file_, path_, offset, buffer_);
        }
        return std::string_view(buffer_.data(), held_).substr(offset - begin_, size);
    }

private:
    const Descriptor& file_;
    const std::string& path_;
    std::string buffer_;
    std::uint64_t begin_ = 0;
    std::uint64_t held_ = 0;
};

struct Entry {
    std::uint64_t checked = 0;  // where index and term begin
    std::uint64_t end = 0;
    std::uint32_t adler32 = 0;
};

// Nothing where none begins.
std::optional<Entry> entry_at(Window& window, std::uint64_t offset) {
    constexpr std::uint64_t known = 0x400000;
    std::uint64_t at = offset + 3;
    if ((big_endian(window.bytes(offset, 3)) & known) == 0) {
        const std::uint64_t uid_size = big_endian(window.bytes(at, 2));
        if (uid_size == 0) {
            return {};
        }
        at += 2 + uid_size;
    }
    const std::string_view head = window.bytes(at, 8);
    const std::uint64_t data_size = head.size() < 8 ? 0 : big_endian(head.substr(4));
    if (data_size == 0) {
        return {};
    }
    return Entry{at + 8, at + 8 + checked_header_size + data_size,
                 static_cast<std::uint32_t>(big_endian(head.substr(0, 4)))};
}

bool is_whole(Window& window, const Entry& entry) {
    if (entry.adler32 == 0) {
        return true;
    }
    Adler32 sum;
    for (std::uint64_t at = entry.checked; at < entry.end; at += window_size) {
        sum.add(window.bytes(at, std::min(window_size, entry.end - at)));
    }
    return entry.adler32 == sum.value();
}

}  // namespace

bool may_be_allocated_ahead(const Descriptor& file, const std::string& path, std::uint64_t size) {
    if (size < least_room) {
        return false;
    }
    std::string end(least_room, '\0');
    end.resize(read_at(file, path, size - least_room, end));
    return end.find_first_not_of('\0') == std::string::npos;
}

std::optional<std::uint64_t> raft_log_end(const Descriptor& file, const std::string& path,
                                          std::uint64_t from, std::uint64_t size) {
    Window window(file, path);
    if (window.bytes(0, magic.size()) != magic) {
        return {};
    }
    std::uint64_t begin = std::max<std::uint64_t>(from, magic.size());
    std::optional<Entry> last;
    for (auto next = entry_at(window, begin); next && next->end <= size;
         next = entry_at(window, next->end)) {
        begin = last ? last->end : begin;
        last = next;
    }
    return last && is_whole(window, *last) ? last->end : begin;
}

}  // namespace hot_backup
