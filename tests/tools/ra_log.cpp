#include "tests/tools/ra_log.hpp"

#include "erlang_port/external_term.hpp"
#include "tests/harness/adler32.hpp"
#include "tests/harness/temp_dir.hpp"

#include <boost/crc.hpp>

#include <algorithm>
#include <map>
#include <string_view>

namespace tools {

namespace fs = std::filesystem;

namespace {

struct Entry {
    std::uint64_t term = 0;
    std::uint32_t crc32 = 0;  // of the data
    bool operator==(const Entry&) const = default;
};
using Log = std::map<std::uint64_t, Entry>;  // by index

// The name that a server is registered by, of its `config`: "id => {NAME,NODE}".
std::string name_in(const std::string& config) {
    const std::string before = "id => {";
    const std::size_t begin = config.find(before) + before.size();
    std::string name = config.substr(begin, config.find(',', begin) - begin);
    std::erase(name, '\'');
    return name;
}

// What is wrong with a file, said where it is noticed.
struct Malformed {
    std::string what;
};
struct CutOff : Malformed {};

// Big-endian numbers and bytes one after the other.
class Bytes {
public:
    explicit Bytes(std::string_view bytes) : bytes_(bytes) {}

    bool at_end() const { return position_ == bytes_.size(); }
    std::size_t position() const { return position_; }

    std::string_view take(std::uint64_t size) {
        if (size > bytes_.size() - position_) {
            throw CutOff{
                {"ends in the middle of what begins at byte " + std::to_string(position_)}};
        }
        const std::string_view taken = bytes_.substr(position_, size);
        position_ += size;
        return taken;
    }

    std::uint64_t number(std::size_t size) {
        std::uint64_t value = 0;
        for (const char byte : take(size)) {
            value = value << 8U | static_cast<unsigned char>(byte);
        }
        return value;
    }

    void expect(std::string_view magic) {
        if (take(magic.size()) != magic) {
            throw Malformed{"does not begin as such a file does"};
        }
    }

private:
    std::string_view bytes_;
    std::size_t position_ = 0;
};

std::uint32_t crc32(std::string_view bytes) {
    boost::crc_32_type crc;
    crc.process_bytes(bytes.data(), bytes.size());
    return crc.checksum();
}

// Files of a directory whose names end so, in order; none when there is no such directory.
std::vector<fs::path> files_in(const fs::path& directory, std::string_view ending) {
    std::vector<fs::path> files;
    if (fs::is_directory(directory)) {
        for (const auto& entry : fs::directory_iterator(directory)) {
            if (entry.path().filename().string().ends_with(ending)) {
                files.push_back(entry.path());
            }
        }
    }
    std::ranges::sort(files);
    return files;
}

// "RASG" Version:16 MaxCount:16, then MaxCount times Index:64 Term:64 Offset:64 Length:32 Crc32:32,
// of which the unused ones are zero, then the data.
Log read_segment(std::string_view content) {
    Bytes header(content);
    header.expect("RASG");
    if (header.number(2) != 2) {
        throw Malformed{"is of an unknown version"};
    }
    const std::uint64_t capacity = header.number(2);
    Log log;
    // A segment that was just begun has not all of its index yet.
    for (std::uint64_t n = 0; n < capacity && !header.at_end(); ++n) {
        Bytes record(header.take(32));
        const std::uint64_t index = record.number(8);
        const std::uint64_t term = record.number(8);
        const std::uint64_t offset = record.number(8);
        const std::uint64_t length = record.number(4);
        const auto crc = static_cast<std::uint32_t>(record.number(4));
        if (offset == 0) {
            break;
        }
        if (offset > content.size() || length > content.size() - offset) {
            throw Malformed{"ends before the data of entry " + std::to_string(index)};
        }
        const std::uint32_t actual = crc32(content.substr(offset, length));
        if (crc != 0 && crc != actual) {
            throw Malformed{"has a wrong checksum for entry " + std::to_string(index)};
        }
        log.insert_or_assign(index, Entry{term, actual});
    }
    return log;
}

// "RAWA" 1, then Truncate:1 Known:1 Number:22 [Length:16 Uid] Adler32:32 Length:32 Index:64 Term:64
// Data. The UID is there where its number is used first.
class WalReader {
public:
    explicit WalReader(std::string_view content) : content_(content), bytes_(content) {
        bytes_.expect(std::string_view("RAWA\x01", 5));
    }

    // The newest one may end within an entry: the VM writes a batch of entries in several pieces,
    // and confirms them when all are written. Ra's recovery ends there
    // (ra_log_wal:recover_records).
    std::map<std::string, Log> read(bool is_newest) {
        try {
            while (!bytes_.at_end() && !is_rest_unused()) {
                read_entry();
            }
        } catch (const CutOff&) {
            if (!is_newest) {
                throw;
            }
        }
        return std::move(logs_);
    }

private:
    // Up to RabbitMQ 3.8 the file is as long from the beginning as it may become.
    bool is_rest_unused() const {
        const std::string_view rest = content_.substr(bytes_.position());
        return rest.substr(0, 5).find_first_not_of('\0') == std::string_view::npos &&
               rest.find_first_not_of('\0') == std::string_view::npos;
    }

    void read_entry() {
        const std::size_t start = bytes_.position();
        const std::uint64_t head = bytes_.number(3);
        const bool truncate = (head & 0x800000U) != 0;
        const bool known = (head & 0x400000U) != 0;
        const std::uint64_t number = head & 0x3fffffU;
        if (!known) {
            uids_[number] = bytes_.take(bytes_.number(2));
        } else if (!uids_.contains(number)) {
            throw Malformed{"has an entry of nobody at byte " + std::to_string(start)};
        }
        const auto adler = static_cast<std::uint32_t>(bytes_.number(4));
        const std::uint64_t length = bytes_.number(4);
        const std::string_view checked = content_.substr(bytes_.position());
        const std::uint64_t index = bytes_.number(8);
        const std::uint64_t term = bytes_.number(8);
        const std::string_view data = bytes_.take(length);
        if (adler != 0 && adler != harness::adler32(checked.substr(0, 16 + length))) {
            throw Malformed{"has a wrong checksum at byte " + std::to_string(start)};
        }
        Log& log = logs_[uids_[number]];
        if (truncate) {
            log.clear();
        } else if (!log.empty() && index > log.rbegin()->first + 1) {
            throw Malformed{"of " + uids_[number] + " goes from entry " +
                            std::to_string(log.rbegin()->first) + " to " + std::to_string(index)};
        }
        // A new leader writes over what was not committed.
        log.erase(log.lower_bound(index), log.end());
        log.insert_or_assign(index, Entry{term, crc32(data)});
    }

    std::string_view content_;
    Bytes bytes_;
    std::map<std::uint64_t, std::string> uids_;
    std::map<std::string, Log> logs_;
};

// "RASN" 1 Crc32:32, then what that is the checksum of: Length:32, the external term of a map with
// the index, the state.
std::uint64_t read_snapshot(std::string_view content) {
    Bytes bytes(content);
    bytes.expect(std::string_view("RASN\x01", 5));
    const auto crc = static_cast<std::uint32_t>(bytes.number(4));
    if (crc != crc32(content.substr(bytes.position()))) {
        throw Malformed{"has a wrong checksum"};
    }
    const erlang::Term meta = erlang::decode_message(bytes.take(bytes.number(4)));
    const auto* map = meta.as<erlang::Map>();
    const erlang::Term* index = map == nullptr ? nullptr : map->find("index");
    if (index == nullptr || !index->as_unsigned()) {
        throw Malformed{"does not tell its index"};
    }
    return *index->as_unsigned();
}

// The logs of one Ra system: quorum queues, or coordination.
class System {
public:
    System(const fs::path& directory, RaReport& report) : report_(report) {
        const std::vector<fs::path> wals = files_in(directory, ".wal");
        for (const fs::path& wal : wals) {
            read(wal, report_.problems, [&](std::string_view content) {
                for (const auto& [uid, log] : WalReader(content).read(wal == wals.back())) {
                    report_.entries_in_wal += log.size();
                    wal_[uid].push_back(log);
                }
            });
        }
        for (const fs::path& server : files_in(directory, "")) {
            if (fs::exists(server / "config")) {
                look_at(server);
            }
        }
    }

private:
    template <class Reader>
    void read(const fs::path& file, std::vector<std::string>& problems, Reader&& reader) {
        try {
            reader(harness::read_file(file));
        } catch (const Malformed& problem) {
            problems.push_back(file.string() + " " + problem.what);
        }
    }

    void look_at(const fs::path& directory) {
        RaServer server;
        server.uid = directory.filename();
        server.name = name_in(harness::read_file(directory / "config"));
        server.snapshot = newest_snapshot(directory / "snapshots");
        const std::uint64_t first = server.snapshot ? *server.snapshot + 1 : 0;
        Log log;
        const std::vector<fs::path> segments = files_in(directory, ".segment");
        for (const fs::path& segment : segments) {
            read(segment, server.problems, [&](std::string_view content) {
                // Ra makes a segment, then writes its header; its segment writer removes a newest
                // one without (ra_log_segment_writer:open_file/2), and has the entries in the
                // write-ahead log.
                if (content.empty() && segment == segments.back()) {
                    return;
                }
                const Log its = read_segment(content);
                report_.entries_in_segments += its.size();
                add(log, its, server);
            });
        }
        for (const Log& its : wal_[server.uid]) {
            add(log, its, server);
        }
        server.last = log.empty() ? 0 : log.rbegin()->first;
        log.erase(log.begin(), log.lower_bound(first));
        server.entries = log.size();
        std::uint64_t expected = first;
        for (const auto& [index, entry] : log) {
            if (index != expected) {
                server.problems.push_back("the log of " + server.uid + " lacks entries " +
                                          std::to_string(expected) + " to " +
                                          std::to_string(index - 1));
            }
            expected = index + 1;
        }
        report_.servers.push_back(server);
    }

    static void add(Log& log, const Log& newer, RaServer& server) {
        for (const auto& [index, entry] : newer) {
            const auto [found, added] = log.emplace(index, entry);
            if (!added && found->second.term == entry.term && found->second != entry) {
                server.problems.push_back("the log of " + server.uid + " has entry " +
                                          std::to_string(index) + " twice, and different");
            }
            found->second = entry;
        }
    }

    // One that is just being written is not whole, and the server does not use it either.
    std::optional<std::uint64_t> newest_snapshot(const fs::path& directory) const {
        std::optional<std::uint64_t> newest;
        for (const fs::path& snapshot : files_in(directory, "")) {
            try {
                newest = std::max(newest.value_or(0),
                                  read_snapshot(harness::read_file(snapshot / "snapshot.dat")));
            } catch (const Malformed&) {
            }
        }
        return newest;
    }

    RaReport& report_;
    std::map<std::string, std::vector<Log>> wal_;  // by UID, in the order of the files
};

}  // namespace

RaReport read_ra_logs(const fs::path& data_directory) {
    RaReport report;
    for (const char* name : {"quorum", "coordination"}) {
        for (const fs::path& system : files_in(data_directory / name, "")) {
            System(system, report);
        }
    }
    return report;
}

}  // namespace tools
