#include "sidecar/definitions/snapshot_reader.hpp"

#include "erlang_port/error.hpp"
#include "erlang_port/external_term.hpp"

#include <algorithm>
#include <optional>
#include <utility>

namespace hot_backup {
namespace {

constexpr std::size_t length_size = 4;
// The longest message of docs/protocol.md: no chunk is longer.
constexpr std::size_t max_chunk = 160 * 1024 * 1024;

constexpr std::uint32_t bit_of(Category category) {
    return 1U << static_cast<unsigned>(category);
}

[[noreturn]] void damaged(std::uint64_t offset, const std::string& why) {
    throw Error(ErrorCode::damaged,
                "the metadata snapshot is damaged in the chunk at byte " + std::to_string(offset) +
                    ": " + why,
                "Verify the backup; if its digests are right, report this as a defect.");
}

// Runs `read` on bytes of the chunk at `offset` and says where they are when they are not what they
// must be.
template <class Read>
void in_chunk(std::uint64_t offset, Read&& read) {
    try {
        read();
    } catch (const Error& error) {
        damaged(offset, error.what());
    }
}

// Cuts the stream of bytes into the payloads of chunks.
class ChunkReader {
public:
    explicit ChunkReader(SnapshotSource& source) : source_(source) { source.rewind(); }

    // The next chunk's payload, valid until the next call; nothing at the end.
    std::optional<std::string_view> next() {
        offset_ = end_;
        const auto header = take(length_size);
        if (header.empty()) {
            return std::nullopt;
        }
        if (header.size() < length_size) {
            damaged(offset_, "the length is cut off");
        }
        std::size_t length = 0;
        for (const char byte : header) {
            length = length << 8U | static_cast<unsigned char>(byte);
        }
        if (length > max_chunk) {
            damaged(offset_, "it claims " + std::to_string(length) + " bytes");
        }
        const auto payload = take(length);
        if (payload.size() < length) {
            damaged(offset_, "it is cut off after " + std::to_string(payload.size()) + " of " +
                                 std::to_string(length) + " bytes");
        }
        return payload;
    }

    // Where the chunk that next() returned begins.
    std::uint64_t offset() const noexcept { return offset_; }

private:
    // The next `length` bytes, fewer at the end of the source.
    std::string_view take(std::size_t length) {
        joined_.clear();
        while (joined_.size() < length) {
            if (piece_.empty()) {
                const auto piece = source_.next();
                if (!piece) {
                    break;
                }
                piece_ = *piece;
            }
            const auto part = piece_.substr(0, length - joined_.size());
            piece_.remove_prefix(part.size());
            end_ += part.size();
            if (part.size() == length) {
                return part;
            }
            joined_ += part;
        }
        return joined_;
    }

    SnapshotSource& source_;
    std::string_view piece_;
    std::string joined_;
    std::uint64_t offset_ = 0;
    std::uint64_t end_ = 0;
};

}  // namespace

std::string chunk_header(std::string_view payload) {
    std::string header(length_size, '\0');
    for (std::size_t n = 0; n < length_size; ++n) {
        header[n] = static_cast<char>((payload.size() >> (8 * (length_size - 1 - n))) & 0xFFU);
    }
    return header;
}

void SnapshotIndex::add(std::string_view payload) {
    Chunk chunk{.first_item = items_, .categories = 0};
    in_chunk(offset_, [&] {
        for (erlang::ListReader items(payload); const auto encoded = items.next(); ++items_) {
            const auto item = parse_item(*encoded);
            counter_.add(item);
            if (item.kind == Item::Kind::deletion) {
                last_deletions_.insert_or_assign(std::string(item.identity), items_);
            } else if (item.kind == Item::Kind::record) {
                chunk.categories |= bit_of(item.category);
            }
        }
    });
    chunks_.push_back(chunk);
    offset_ += length_size + payload.size();
}

SnapshotIndex SnapshotIndex::scan(SnapshotSource& source) {
    SnapshotIndex index;
    ChunkReader reader(source);
    while (const auto payload = reader.next()) {
        index.add(*payload);
    }
    return index;
}

Snapshot::Snapshot(SnapshotSource& source, SnapshotIndex index)
    : source_(source), index_(std::move(index)) {}

void Snapshot::for_each(Category category,
                        const std::function<void(const erlang::Term&)>& consume) {
    for_each_item(bit_of(category), [&](const Item& item) { for_each_record(item, consume); });
}

bool Snapshot::stands(const Item& item, std::uint64_t position) const {
    if (index_.last_deletions_.empty()) {
        return true;
    }
    const auto deletion = index_.last_deletions_.find(std::string(item.identity));
    return deletion == index_.last_deletions_.end() || deletion->second < position;
}

void Snapshot::for_each_item(std::uint32_t categories,
                             const std::function<void(const Item&)>& consume) {
    ChunkReader reader(source_);
    for (const auto& chunk : index_.chunks_) {
        const auto payload = reader.next();
        if (!payload) {
            damaged(reader.offset(), "it is no longer there");
        }
        if ((chunk.categories & categories) == 0) {
            continue;
        }
        auto position = chunk.first_item;
        for (erlang::ListReader items(*payload); const auto encoded = items.next(); ++position) {
            const auto item = parse_item(*encoded);
            if (item.kind == Item::Kind::record && (categories & bit_of(item.category)) != 0 &&
                stands(item, position)) {
                consume(item);
            }
        }
    }
}

}  // namespace hot_backup
