#include "sidecar/sandbox/stream_offsets.hpp"

#include "sidecar/restore/stream_files.hpp"

#include <array>
#include <memory>
#include <span>
#include <system_error>
#include <vector>

namespace hot_backup {
namespace {

namespace fs = std::filesystem;

// A chunk's header has its number of records at 4, its ID at 24 and the lengths of its data and of
// its trailer at 36 and 40.
constexpr std::uint64_t chunk_header = 48;

std::uint64_t number(std::span<const char> bytes, std::size_t offset, std::size_t size) {
    std::uint64_t value = 0;
    for (const char byte : bytes.subspan(offset, size)) {
        value = value << 8U | static_cast<unsigned char>(byte);
    }
    return value;
}

class Segment {
public:
    explicit Segment(const Path& index)
        : index_(posix_file_system().open(index)),
          chunks_(posix_file_system().open(stream_segment_of(index))),
          chunks_size_(chunks_->status().size) {
        const auto size = index_->status().size;
        records_ =
            size < stream_file_header ? 0 : (size - stream_file_header) / stream_index_record;
    }

    std::optional<std::uint64_t> first() const {
        return records_ == 0 ? std::nullopt : std::optional(number(record(0), 0, 8));
    }

    // Of the last record whose chunk is whole.
    std::optional<std::uint64_t> last() const {
        for (auto n = records_; n > 0; --n) {
            const auto entry = record(n - 1);
            const auto chunk = read<chunk_header>(*chunks_, number(entry, 24, 4));
            const auto end =
                number(entry, 24, 4) + chunk_header + number(chunk, 36, 4) + number(chunk, 40, 4);
            if (number(chunk, 24, 8) == number(entry, 0, 8) && end <= chunks_size_) {
                return number(entry, 0, 8) + number(chunk, 4, 4) - 1;
            }
        }
        return std::nullopt;
    }

private:
    std::array<char, stream_index_record> record(std::uint64_t n) const {
        return read<stream_index_record>(*index_, stream_file_header + n * stream_index_record);
    }

    // Zeros behind the end of the file.
    template <std::size_t size>
    static std::array<char, size> read(OpenFile& file, std::uint64_t offset) {
        std::array<char, size> bytes{};
        file.read_at(offset, bytes);
        return bytes;
    }

    std::unique_ptr<OpenFile> index_;
    std::unique_ptr<OpenFile> chunks_;
    std::uint64_t chunks_size_;
    std::uint64_t records_ = 0;
};

std::optional<StreamOffsets> offsets_of(const Path& stream) {
    const auto indexes = stream_indexes(stream);
    // The newest segment may be empty: then the last record is in the one before.
    std::optional<std::uint64_t> last;
    for (auto index = indexes.rbegin(); index != indexes.rend() && !last; ++index) {
        last = Segment(*index).last();
    }
    for (auto index = indexes.begin(); index != indexes.end() && last; ++index) {
        if (const auto first = Segment(*index).first()) {
            return StreamOffsets{*first, *last};
        }
    }
    return std::nullopt;
}

}  // namespace

std::map<std::string, std::optional<StreamOffsets>> read_stream_offsets(
    const Path& data_directory) {
    std::map<std::string, std::optional<StreamOffsets>> offsets;
    std::error_code none;
    for (fs::directory_iterator entry(data_directory / "stream", none), end; entry != end;
         ++entry) {
        if (entry->is_directory()) {
            offsets.emplace(entry->path().filename().string(), offsets_of(entry->path()));
        }
    }
    return offsets;
}

}  // namespace hot_backup
