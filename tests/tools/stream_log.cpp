#include "tests/tools/stream_log.hpp"

#include "tests/harness/temp_dir.hpp"

#include <boost/crc.hpp>

#include <algorithm>
#include <map>
#include <optional>
#include <string_view>

namespace tools {
namespace {

namespace fs = std::filesystem;

// osiris_log: a file header, then chunks; and index records.
constexpr std::size_t file_header = 8;
constexpr std::size_t chunk_header = 48;
constexpr std::size_t index_record = 29;

std::uint64_t number(std::string_view bytes, std::size_t offset, std::size_t size) {
    std::uint64_t value = 0;
    for (const char byte : bytes.substr(offset, size)) {
        value = value << 8 | static_cast<unsigned char>(byte);
    }
    return value;
}

struct Chunk {
    std::uint64_t id = 0;  // the offset of its first record in the stream
    std::uint64_t records = 0;
    std::uint64_t size = 0;  // in the file, header and trailer included
    bool right = false;      // its data match its checksum
};

// Nothing when the file ends before the chunk does.
std::optional<Chunk> chunk_at(std::string_view segment, std::size_t offset) {
    if (segment.size() < offset + chunk_header) {
        return {};
    }
    const auto header = segment.substr(offset, chunk_header);
    const auto data = number(header, 36, 4);
    Chunk chunk{number(header, 24, 8), number(header, 4, 4),
                chunk_header + data + number(header, 40, 4), false};
    if (segment.size() < offset + chunk.size) {
        return {};
    }
    boost::crc_32_type crc;
    crc.process_bytes(segment.data() + offset + chunk_header, data);
    chunk.right = number(header, 0, 1) == 0x50 && crc.checksum() == number(header, 32, 4);
    return chunk;
}

class StreamReader {
public:
    StreamReader(const fs::path& directory, StreamReport& report)
        : directory_(directory), report_(report) {}

    void read() {
        std::vector<fs::path> segments;
        for (const auto& entry : fs::directory_iterator(directory_)) {
            if (entry.path().extension() == ".segment") {
                segments.push_back(entry.path());
            }
        }
        std::ranges::sort(segments);
        report_.streams += segments.empty() ? 0U : 1U;
        for (const auto& segment : segments) {
            read_segment(segment, segment == segments.back());
        }
    }

private:
    void read_segment(const fs::path& path, bool is_last) {
        ++report_.segments;
        const std::string content = harness::read_file(path);
        std::map<std::uint64_t, std::uint64_t> ids;  // by place
        std::size_t offset = file_header;
        while (const auto chunk = chunk_at(content, offset)) {
            if (!chunk->right) {
                return problem(path, "a chunk that is not what was written", offset);
            }
            if (next_ && *next_ != chunk->id) {
                problem(path, "a gap before record " + std::to_string(chunk->id), offset);
            }
            next_ = chunk->id + chunk->records;
            report_.records += chunk->records;
            ids.emplace(offset, chunk->id);
            offset += chunk->size;
        }
        if (offset < content.size() && !is_last) {
            problem(path, "it ends within a chunk", offset);
        }
        read_index(fs::path(path).replace_extension(".index"), ids, is_last);
    }

    void read_index(const fs::path& path, const std::map<std::uint64_t, std::uint64_t>& ids,
                    bool is_last) {
        const std::string content = harness::read_file(path);
        std::size_t records = 0;
        for (std::size_t offset = file_header; offset + index_record <= content.size();
             offset += index_record, ++records) {
            const auto found = ids.find(number(content, offset + 24, 4));
            if (found == ids.end() || found->second != number(content, offset, 8)) {
                problem(path, "a record of a chunk that is not there", offset);
            }
        }
        // Recovery would go on in the segment before, and write the same numbers again.
        if (records == 0 && !ids.empty()) {
            problem(path, "no record of any chunk", file_header);
        }
        const std::size_t missing = ids.size() - std::min(records, ids.size());
        if (missing > (is_last ? 1U : 0U)) {
            problem(path, std::to_string(missing) + " records are missing", content.size());
        }
    }

    void problem(const fs::path& path, const std::string& what, std::size_t offset) {
        report_.problems.push_back(directory_.filename().string() + "/" + path.filename().string() +
                                   ": " + what + " at " + std::to_string(offset));
    }

    const fs::path& directory_;
    StreamReport& report_;
    std::optional<std::uint64_t> next_;  // the ID that the next chunk must have
};

}  // namespace

StreamReport read_streams(const fs::path& data_directory) {
    StreamReport report;
    const fs::path streams = data_directory / "stream";
    if (fs::exists(streams)) {
        for (const auto& entry : fs::directory_iterator(streams)) {
            if (entry.is_directory()) {
                StreamReader(entry.path(), report).read();
            }
        }
    }
    return report;
}

}  // namespace tools
