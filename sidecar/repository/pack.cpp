#include "sidecar/repository/pack.hpp"

#include "sidecar/repository/identifier.hpp"

#include <algorithm>

namespace hot_backup {
namespace {

constexpr std::string_view magic = "RHBPACK\n";
constexpr std::uint32_t version = 1;
constexpr std::size_t digest_offset = 112;

constexpr std::size_t write_buffer_size = std::size_t{1} << 20;
// How much of a pack may wait in the page cache. Little, so that the broker's own syncs on the same
// disk do not queue up behind ours.
constexpr std::uint64_t unwritten_window = std::uint64_t{16} << 20;

std::string big_endian(std::uint32_t number) {
    std::string bytes;
    for (int shift = 24; shift >= 0; shift -= 8) {
        bytes += static_cast<char>((number >> shift) & 0xFFU);
    }
    return bytes;
}

std::uint32_t from_big_endian(std::string_view bytes) {
    std::uint32_t number = 0;
    for (const char byte : bytes) {
        number = (number << 8) | static_cast<std::uint8_t>(byte);
    }
    return number;
}

std::string raw(const Digest& digest) {
    return {digest.bytes.begin(), digest.bytes.end()};
}

}  // namespace

std::string pack_header(std::string_view name) {
    std::string header(magic);
    header += big_endian(version);
    header += big_endian(0);
    header += name;
    header.resize(digest_offset, '\0');
    return header + raw(checksum(header));
}

PackWriter::PackWriter(FileSystem& file_system, Path directory, std::string backup_id,
                       std::uint64_t pack_size)
    : file_system_(file_system),
      directory_(std::move(directory)),
      backup_id_(std::move(backup_id)),
      pack_size_(pack_size) {}

void PackWriter::append(std::string_view bytes) {
    if (bytes.empty()) {
        return;
    }
    if (extent_size_ == 0) {
        begin_extent();
        checksum_.reset();
    }
    checksum_.update(bytes);
    extent_size_ += bytes.size();
    write(bytes);
}

Extent PackWriter::end_extent() {
    Extent extent;
    extent.pack = name_;
    extent.offset = extent_offset_;
    extent.size = extent_size_;
    extent.digest = checksum_.digest();
    extent_size_ = 0;
    return extent;
}

Extent PackWriter::store(std::string_view bytes, const Digest& digest) {
    begin_extent();
    write(bytes);
    return {name_, extent_offset_, bytes.size(), digest, nullptr};
}

void PackWriter::finish(const std::function<void()>& after_sync) {
    if (file_) {
        end_pack();
        after_sync();
    }
    file_system_.sync_directory(directory_);
    after_sync();
}

void PackWriter::begin_extent() {
    if (file_ && packs_.back().bytes >= pack_size_) {
        end_pack();
    }
    if (!file_) {
        begin_pack();
    }
    extent_offset_ = packs_.back().bytes;
}

void PackWriter::begin_pack() {
    name_ = pack_name(backup_id_, static_cast<unsigned>(packs_.size() + 1));
    packs_.push_back({name_, 0});
    const Path path = directory_ / (name_.text() + ".pack");
    file_ = file_system_.create(path);
    file_system_.inherit_owner(path);
    buffer_.reserve(write_buffer_size);
    write(pack_header(name_.text()));
}

void PackWriter::end_pack() {
    flush();
    file_->sync();
    file_.reset();
}

void PackWriter::write(std::string_view bytes) {
    packs_.back().bytes += bytes.size();
    if (buffer_.size() + bytes.size() > write_buffer_size) {
        flush();
    }
    if (bytes.size() < write_buffer_size) {
        buffer_ += bytes;
        return;
    }
    // A copy into the buffer would cost and gain nothing.
    file_->append(bytes);
    file_->write_behind(unwritten_window);
}

void PackWriter::flush() {
    if (buffer_.empty()) {
        return;
    }
    file_->append(buffer_);
    buffer_.clear();
    file_->write_behind(unwritten_window);
}

PackReader::PackReader(FileSystem& file_system, const Path& path, std::string name, From from)
    : path_(path), name_(std::move(name)), file_(file_system.open(path)) {
    size_ = file_->status().size;
    if (from == From::disk) {
        file_->read_from_disk();
    }
    check_header();
}

void PackReader::check_header() {
    std::string header(pack_header_size, '\0');
    header.resize(file_->read_at(0, header));
    if (header == pack_header(name_)) {
        return;
    }
    const std::string_view view = header;
    if (view.size() < pack_header_size) {
        header_problem_ = "it is shorter than its header";
    } else if (!view.starts_with(magic) ||
               view.substr(digest_offset) != raw(checksum(view.substr(0, digest_offset)))) {
        header_problem_ = "its header is not what was written";
    } else if (const auto found = from_big_endian(view.substr(magic.size(), 4)); found > version) {
        throw Error(ErrorCode::failed,
                    path_.string() + " has format version " + std::to_string(found) +
                        ", and this program knows up to " + std::to_string(version),
                    "Upgrade rabbitmq-hot-backup: a newer one wrote this.");
    } else {
        header_problem_ = "its header is that of another pack";
    }
}

std::string_view PackReader::read(const Extent& extent) {
    const auto bytes = read_unchecked(extent.offset, extent.stored_size());
    if (checksum(bytes) != extent.stored_digest()) {
        throw damaged_at(extent.offset, "the extent does not match its digest");
    }
    return bytes;
}

std::string_view PackReader::read_unchecked(std::uint64_t offset, std::uint64_t size) {
    if (offset > size_ || size > size_ - offset) {
        throw damaged_at(offset, "it ends before the extent does");
    }
    buffer_.resize(size);
    if (file_->read_at(offset, buffer_) != size) {
        throw damaged_at(offset, "it became shorter while it was read");
    }
    return buffer_;
}

Error PackReader::damaged_at(std::uint64_t offset, const std::string& reason) const {
    return {ErrorCode::damaged,
            path_.string() + " is damaged at offset " + std::to_string(offset) + ": " + reason,
            "Run `verify` to see all that is damaged, and use another backup."};
}

}  // namespace hot_backup
