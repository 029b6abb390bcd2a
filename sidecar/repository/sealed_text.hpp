// Sealed text: lines whose last one holds the digest of all before it. docs/format.md, "Sealed
// text".
//
// Neither side holds more than a line and a buffer. The reader checks the seal before it hands out
// the first line, so nobody parses bytes that are not what was written.
#pragma once

#include "sidecar/repository/checksum.hpp"
#include "sidecar/repository/file_system.hpp"

namespace hot_backup {

// The last line of a sealed text has this length.
inline constexpr std::size_t seal_size = 48;

// The digest in such a line; nothing when it is none.
std::optional<Digest> parse_seal(std::string_view line);
// The last line for all lines before it, which have this digest.
std::string seal_line(const Digest& digest);
// A small text, whole lines, with its seal.
std::string seal(std::string text);

class SealedTextWriter {
public:
    // Appends to `file`, which outlives the writer.
    explicit SealedTextWriter(OpenFile& file) : file_(file) {}

    // `line` holds no line feed.
    void write_line(std::string_view line);
    // Writes the last line and syncs the file. Returns the digest that the line holds.
    Digest seal();

private:
    void flush();

    OpenFile& file_;
    Checksum checksum_;
    std::string buffer_;
};

class SealedTextReader {
public:
    // Error not_found: no such file. Error damaged: no valid seal.
    SealedTextReader(FileSystem& file_system, const Path& path);
    // Of a text that is not in a file; `name` stands for its path in errors.
    SealedTextReader(Path name, std::string text);

    // The next line without its line feed; it is valid until the next call. Nothing after the last
    // one; the seal is not handed out.
    std::optional<std::string_view> next_line();

    const Path& path() const noexcept { return path_; }
    // The error for content that the seal covers but the format does not allow.
    Error damaged(const std::string& reason) const;

private:
    void check_seal();
    std::uint64_t size() const;
    std::size_t read_at(std::uint64_t offset, std::span<char> buffer) const;
    std::string read_text(std::uint64_t offset, std::size_t size) const;
    // Appends the next part of the text to the buffer.
    void read_more();

    Path path_;
    std::unique_ptr<OpenFile> file_;  // null: it is all in memory_
    std::string memory_;
    std::uint64_t text_size_ = 0;  // without the seal
    std::uint64_t read_ = 0;
    std::string buffer_;
    std::size_t line_begin_ = 0;
};

// Reads the first line of a sealed text, which names its format and version in every version. Error
// damaged: it has another format; failed: a newer version. Valid until the next line is read.
std::string_view read_format_line(SealedTextReader& reader, std::string_view format,
                                  unsigned version);

}  // namespace hot_backup
