#include "sidecar/transfer/compressed_batches.hpp"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

namespace hot_backup {
namespace {

// osiris_log: a segment begins with "OSIL" and a version. A chunk has a header, with its type at 1,
// its number of entries at 2, the offset of its first message at 24, the lengths of its data and of
// its trailer at 36 and 40 and that of a filter, which comes before the data, at 44.
constexpr std::uint64_t segment_header = 8;
constexpr std::uint64_t chunk_header = 48;
constexpr std::uint64_t chunk_magic = 5;
constexpr std::uint64_t chunk_of_messages = 0;
// An entry of one message is `0:1, Length:31`, a batch of them `1:1, Compression:3, _:4,
// Messages:16, _:32, Length:32`; so many bytes follow.
constexpr std::uint64_t message_header = 4;
constexpr std::uint64_t batch_header = 11;

std::uint64_t number(std::span<const char> bytes, std::size_t offset, std::size_t size) {
    std::uint64_t value = 0;
    for (const char byte : bytes.subspan(offset, size)) {
        value = value << 8U | static_cast<unsigned char>(byte);
    }
    return value;
}

// Looks at a few bytes here and there, on and on, of a large file.
class Window {
public:
    explicit Window(const Path& path) : file_(posix_file_system().open(path)) {}

    // Valid until the next call; empty where the file has not so many bytes.
    std::span<const char> at(std::uint64_t offset, std::size_t size) {
        if (offset < begin_ || offset + size > begin_ + filled_) {
            begin_ = offset;
            filled_ = file_->read_at(offset, buffer_);
        }
        const auto from = static_cast<std::size_t>(offset - begin_);
        return from + size > filled_ ? std::span<const char>()
                                     : std::span<const char>(buffer_).subspan(from, size);
    }

private:
    std::unique_ptr<OpenFile> file_;
    std::vector<char> buffer_ = std::vector<char>(256 * 1024);
    std::uint64_t begin_ = 0;
    std::size_t filled_ = 0;
};

class Search {
public:
    void look_into(const Path& segment) {
        Window window(segment);
        auto position = segment_header;
        for (;;) {
            const auto header = window.at(position, chunk_header);
            // The last chunk may be one that is just being written.
            if (header.empty() || number(header, 0, 1) >> 4U != chunk_magic) {
                return;
            }
            const auto data = position + chunk_header + number(header, 44, 1);
            position = data + number(header, 36, 4) + number(header, 40, 4);
            if (number(header, 1, 1) == chunk_of_messages) {
                look_at_entries(window, data, number(header, 2, 2), number(header, 24, 8));
            }
        }
    }

    std::optional<CompressedBatches> found() const {
        return found_.messages == 0 ? std::nullopt : std::optional(found_);
    }

private:
    void look_at_entries(Window& window, std::uint64_t position, std::uint64_t entries,
                         std::uint64_t offset) {
        for (; entries > 0; --entries) {
            const auto message = window.at(position, message_header);
            if (message.empty()) {
                return;
            }
            const auto length = number(message, 0, message_header);
            if (length >> 31U == 0) {
                position += message_header + length;
                ++offset;
                continue;
            }
            const auto batch = window.at(position, batch_header);
            if (batch.empty()) {
                return;
            }
            const auto messages = number(batch, 1, 2);
            if ((number(batch, 0, 1) >> 4U & 7U) != 0) {
                add(messages, offset);
            }
            position += batch_header + number(batch, 7, 4);
            offset += messages;
        }
    }

    void add(std::uint64_t messages, std::uint64_t offset) {
        if (found_.messages == 0) {
            found_.first_offset = offset;
        }
        found_.messages += messages;
    }

    CompressedBatches found_;
};

}  // namespace

std::optional<CompressedBatches> find_compressed_batches(const Path& stream) {
    // Their names are the offsets of their first messages, of twenty digits.
    std::vector<Path> segments;
    for (const auto& entry : std::filesystem::directory_iterator(stream)) {
        if (entry.path().extension() == ".segment") {
            segments.push_back(entry.path());
        }
    }
    std::ranges::sort(segments);
    Search search;
    for (const auto& segment : segments) {
        search.look_into(segment);
    }
    return search.found();
}

}  // namespace hot_backup
