#include "sidecar/repository/sealed_text.hpp"

#include "sidecar/repository/json_fields.hpp"

#include <algorithm>

namespace hot_backup {
namespace {

constexpr std::string_view seal_begin = R"({"xxh3_128":")";
constexpr std::string_view seal_end = "\"}\n";
static_assert(seal_size == seal_begin.size() + 32 + seal_end.size());

// How every file of this program begins, in every version.
constexpr std::string_view family = R"({"format":"rabbitmq-hot-backup )";

constexpr std::size_t buffer_size = std::size_t{256} << 10;

}  // namespace

std::optional<Digest> parse_seal(std::string_view line) {
    if (line.size() != seal_size || !line.starts_with(seal_begin) || !line.ends_with(seal_end)) {
        return std::nullopt;
    }
    return Digest::from_hex(line.substr(seal_begin.size(), 32));
}

std::string seal_line(const Digest& digest) {
    return std::string(seal_begin).append(digest.hex()).append(seal_end);
}

std::string seal(std::string text) {
    const Digest digest = checksum(text);
    return std::move(text) + seal_line(digest);
}

void SealedTextWriter::write_line(std::string_view line) {
    buffer_.append(line).append("\n");
    if (buffer_.size() >= buffer_size) {
        flush();
    }
}

Digest SealedTextWriter::seal() {
    flush();
    const Digest digest = checksum_.digest();
    file_.append(seal_line(digest));
    file_.sync();
    return digest;
}

void SealedTextWriter::flush() {
    checksum_.update(buffer_);
    file_.append(buffer_);
    buffer_.clear();
}

SealedTextReader::SealedTextReader(FileSystem& file_system, const Path& path)
    : path_(path), file_(file_system.open(path)) {
    check_seal();
}

SealedTextReader::SealedTextReader(Path name, std::string text)
    : path_(std::move(name)), memory_(std::move(text)) {
    check_seal();
}

std::uint64_t SealedTextReader::size() const {
    return file_ ? file_->status().size : memory_.size();
}

std::size_t SealedTextReader::read_at(std::uint64_t offset, std::span<char> buffer) const {
    return file_ ? file_->read_at(offset, buffer)
                 : memory_.copy(buffer.data(), buffer.size(), static_cast<std::size_t>(offset));
}

std::string SealedTextReader::read_text(std::uint64_t offset, std::size_t size) const {
    std::string text(size, '\0');
    text.resize(read_at(offset, text));
    return text;
}

void SealedTextReader::check_seal() {
    const std::uint64_t whole = size();
    text_size_ = whole < seal_size ? 0 : whole - seal_size;
    const auto seal = parse_seal(read_text(text_size_, seal_size));
    if (!seal) {
        const std::string begin = read_text(0, family.size());
        if (family.starts_with(begin)) {
            throw damaged("its last line is not a seal");
        }
        throw damaged("it is not a file of RabbitMQ Hot Backup, or nothing is left of it");
    }
    Checksum checksum;
    std::string buffer(buffer_size, '\0');
    char last = '\n';
    for (std::uint64_t offset = 0; offset < text_size_;) {
        const auto wanted = std::min<std::uint64_t>(buffer.size(), text_size_ - offset);
        const std::size_t got = read_at(offset, {buffer.data(), wanted});
        if (got != wanted) {
            throw damaged("it became shorter while it was read");
        }
        checksum.update({buffer.data(), got});
        last = buffer[got - 1];
        offset += got;
    }
    if (checksum.digest() != *seal || last != '\n') {
        throw damaged("its content does not match its seal");
    }
}

std::optional<std::string_view> SealedTextReader::next_line() {
    std::size_t searched = line_begin_;
    for (;;) {
        const std::size_t end = buffer_.find('\n', searched);
        if (end != std::string::npos) {
            const std::string_view line =
                std::string_view(buffer_).substr(line_begin_, end - line_begin_);
            line_begin_ = end + 1;
            return line;
        }
        if (read_ == text_size_) {
            return std::nullopt;
        }
        buffer_.erase(0, line_begin_);
        line_begin_ = 0;
        searched = buffer_.size();
        read_more();
    }
}

void SealedTextReader::read_more() {
    const std::size_t old_size = buffer_.size();
    const auto wanted =
        static_cast<std::size_t>(std::min<std::uint64_t>(buffer_size, text_size_ - read_));
    buffer_.resize(old_size + wanted);
    const std::size_t got = read_at(read_, {buffer_.data() + old_size, wanted});
    if (got != wanted) {
        throw damaged("it became shorter while it was read");
    }
    read_ += got;
}

Error SealedTextReader::damaged(const std::string& reason) const {
    return {ErrorCode::damaged, path_.string() + " is damaged: " + reason,
            "Make a new backup now; then look for the reason on the disk. Another copy of this "
            "file, byte by byte, mends it."};
}

std::string_view read_format_line(SealedTextReader& reader, std::string_view format,
                                  unsigned version) {
    const auto line = reader.next_line();
    if (!line) {
        throw reader.damaged("it is empty");
    }
    try {
        const Json json = parse_object(*line);
        const Fields fields(json);
        if (fields.text("format") != format) {
            throw reader.damaged("it is a \"" + fields.text("format") + "\", not a \"" +
                                 std::string(format) + '"');
        }
        const std::uint64_t found = fields.number("version");
        if (found > version) {
            throw Error(ErrorCode::failed,
                        reader.path().string() + " has format version " + std::to_string(found) +
                            ", and this program knows up to " + std::to_string(version),
                        "Upgrade rabbitmq-hot-backup: a newer one wrote this.");
        }
        if (found == 0) {
            throw BadField("version 0 does not exist");
        }
    } catch (const BadField& bad) {
        throw reader.damaged(bad.what());
    }
    return *line;
}

}  // namespace hot_backup
