#include "sidecar/restore/message_store_repair.hpp"

#include "sidecar/rabbitmq_version.hpp"
#include "sidecar/restore/target_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <array>
#include <bitset>
#include <cerrno>
#include <memory>

namespace hot_backup {
namespace {

struct Range {
    RabbitmqVersion first;
    RabbitmqVersion fixed;  // the first one without the hole
};

// The scan by bytes came with 3.13.1; before, files had no holes, and a recovery went from message
// to message.
constexpr std::array affected{Range{{3, 13, 1}, {4, 1, 5}}};

constexpr std::uint64_t length_size = 8;
// A length, an identifier of 16 bytes, and the mark at the end: no message is shorter.
constexpr std::uint64_t smallest_message = 25;
// So many lengths of padding are tried in one pass.
constexpr std::uint64_t window = 4096;

std::uint64_t big_endian_64(const char* bytes) {
    std::uint64_t value = 0;
    for (std::size_t n = 0; n < length_size; ++n) {
        value = value << 8 | static_cast<std::uint8_t>(bytes[n]);
    }
    return value;
}

// The lengths of padding from `first` on with which the scan would give up somewhere.
std::bitset<window> harmful(std::string_view content, std::uint64_t first) {
    std::bitset<window> found;
    // Behind the last place where another message could begin nothing can be lost.
    const std::uint64_t end =
        content.size() > smallest_message ? content.size() - smallest_message : 0;
    for (std::uint64_t at = 0; at < end; ++at) {
        // The highest bytes of a length that ends near the end of a file are zeros.
        if (content[at + 2] != 0) {
            at += 2;
            continue;
        }
        // It gives up where the file has up to eight bytes more than the message without its
        // length.
        const std::uint64_t size = big_endian_64(content.data() + at);
        if (size >= content.size() + first + window) {
            continue;
        }
        const std::uint64_t message_end = at + size;
        for (std::uint64_t more = 1; more <= length_size; ++more) {
            const std::uint64_t file_size = message_end + more;
            if (file_size >= content.size() + first &&
                file_size < content.size() + first + window) {
                found.set(file_size - content.size() - first);
            }
        }
    }
    return found;
}

// A file's content in memory.
class Mapping {
public:
    Mapping(const Descriptor& file, std::uint64_t size, const Path& path) : size_(size) {
        if (size > 0) {
            bytes_ = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.number(), 0);
        }
        if (bytes_ == MAP_FAILED) {
            throw target_error(errno, "read", path);
        }
    }
    ~Mapping() {
        if (size_ > 0) {
            ::munmap(bytes_, size_);
        }
    }
    Mapping(const Mapping&) = delete;
    Mapping& operator=(const Mapping&) = delete;

    std::string_view content() const { return {static_cast<const char*>(bytes_), size_}; }

private:
    std::uint64_t size_;
    void* bytes_ = nullptr;
};

}  // namespace

bool gives_up_in_holes(std::string_view rabbitmq_version) {
    const auto version = RabbitmqVersion::of(rabbitmq_version);
    for (const Range& range : affected) {
        if (version >= range.first && version < range.fixed) {
            return true;
        }
    }
    return false;
}

std::uint64_t missing_zeros(std::string_view content) {
    for (std::uint64_t first = 0;; first += window) {
        const auto bad = harmful(content, first);
        for (std::uint64_t n = 0; n < window; ++n) {
            if (!bad.test(n)) {
                return first + n;
            }
        }
    }
}

std::uint64_t repair_message_store_file(const Path& path) {
    const Descriptor file = open_target(path, O_RDWR);
    struct stat status {};
    if (::fstat(file.number(), &status) < 0) {
        throw target_error(errno, "examine", path);
    }
    const auto size = static_cast<std::uint64_t>(status.st_size);
    const std::uint64_t zeros = missing_zeros(Mapping(file, size, path).content());
    if (zeros > 0 && ::ftruncate(file.number(), static_cast<off_t>(size + zeros)) < 0) {
        throw target_error(errno, "lengthen", path);
    }
    return zeros;
}

}  // namespace hot_backup
