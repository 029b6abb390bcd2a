#include "sidecar/restore/salvage.hpp"

#include "sidecar/capture/file_rules.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <set>
#include <system_error>

namespace hot_backup {
namespace {

namespace fs = std::filesystem;

enum class Loss {
    tail,           // the bytes before the damage stay
    tail_and_next,  // and the files with higher numbers go
    file,
    pair,               // with it the file of the same number and the other ending
    pair_and_previous,  // and those with lower numbers, unless it is the last
    server,             // the directory of a Raft server
};

struct Rule {
    Area area;
    std::string_view ending;  // of the file's name; empty: any
    Loss loss;
    std::string_view consequence;
};

// The first line that fits counts.
constexpr std::array rules{
    // Recovery takes the messages up to the end, as after a power cut, and drops from the queues
    // what it did not find.
    Rule{Area::message_stores, ".rdq", Loss::tail, "the messages in the rest are lost"},
    // Index and store of a queue of version 2 have the same segments. An index that names messages
    // which its store does not have ends the queue's process; without both there is a gap, as when
    // all of the segment is acknowledged.
    Rule{Area::message_stores, ".qi", Loss::pair, "the messages of this segment are lost"},
    Rule{Area::message_stores, ".qs", Loss::pair, "the messages of this segment are lost"},
    // A segment of a queue of version 1: a gap, too.
    Rule{Area::message_stores, ".idx", Loss::file, "the messages of this segment are lost"},
    Rule{Area::message_stores, "journal.jif", Loss::file,
         "the last changes of this queue are lost"},

    // What is behind the damage was written later, by all queues of the node: without it the node
    // stands as it did a moment earlier. A gap in the middle would keep queues from starting.
    Rule{Area::raft, ".wal", Loss::tail_and_next, "what was written after this is lost"},
    // The log of a Raft server can be replayed without gaps only, and a server that fails in its
    // start may try that again and again. Without its directory it is not even tried: the queue is
    // there, without messages and out of order until somebody deletes it.
    Rule{Area::raft, "", Loss::server,
         "this Raft server is lost: delete its queue and declare it anew"},

    // Osiris finds the segments of a stream by their indexes. A stream may begin at any of them,
    // as it does when its oldest ones have expired, and end at any, but have no gap.
    Rule{Area::streams, ".segment", Loss::pair_and_previous, "these offsets are lost"},
    Rule{Area::streams, ".index", Loss::pair_and_previous, "these offsets are lost"},

    Rule{Area::any, "", Loss::file, "what the node makes of that is not known"},
};

// quorum/NODE/UID/..., below whatever.
constexpr std::size_t parts_of_server = 3;

std::optional<std::uint64_t> number_of(const Path& file) {
    const std::string stem = file.stem();
    std::uint64_t number = 0;
    const auto parsed = std::from_chars(stem.data(), stem.data() + stem.size(), number);
    return parsed.ec == std::errc{} && parsed.ptr == stem.data() + stem.size()
               ? std::optional(number)
               : std::nullopt;
}

class Salvage {
public:
    void give_up(const DamagedFile& file) {
        const auto [area, parts] = area_and_parts(file.path);
        const Rule& rule = *std::ranges::find_if(rules, [&](const Rule& each) {
            return (each.area == Area::any || each.area == area) &&
                   file.path.ends_with(each.ending) &&
                   (each.loss != Loss::server || parts > parts_of_server);
        });
        reason_ = file.reason + "; " + std::string(rule.consequence);
        root_ = root_place(file);
        const Path directory = file.place.parent_path();
        const auto number = number_of(file.place).value_or(0);
        switch (rule.loss) {
            case Loss::tail:
                cut_off(file);
                break;
            case Loss::tail_and_next:
                cut_off(file);
                remove_if(directory, [&](const Path& other, std::uint64_t n) {
                    return other.extension() == file.place.extension() && n > number;
                });
                break;
            case Loss::file:
                remove(file.place);
                break;
            case Loss::pair:
                remove_if(directory, [&](const Path&, std::uint64_t n) { return n == number; });
                break;
            case Loss::pair_and_previous: {
                const bool last = highest(directory) == number;
                remove_if(directory, [&](const Path&, std::uint64_t n) {
                    return n == number || (n < number && !last);
                });
                break;
            }
            case Loss::server:
                remove_server(file, parts);
                break;
        }
        // Also where it went with another one already.
        lose(file.path, reason_);
    }

    std::vector<LostFile> lost() const {
        std::vector<LostFile> list;
        for (const auto& [path, reason] : lost_) {
            list.push_back({path, reason});
        }
        return list;
    }

private:
    // The area, and how many parts the path has from the directory on that says so.
    static std::pair<Area, std::size_t> area_and_parts(const Path& path) {
        auto left = static_cast<std::size_t>(std::distance(path.begin(), path.end()));
        for (const Path& part : path) {
            if (const Area area = area_of_directory(part.native()); area != Area::any) {
                return {area, left};
            }
            --left;
        }
        return {Area::any, 0};
    }

    // What to put before a path within the backup to have it on disk, and back.
    static std::pair<std::string, std::string> root_place(const DamagedFile& file) {
        std::string path = file.path;
        std::string place = file.place;
        while (!path.empty() && !place.empty() && path.back() == place.back()) {
            path.pop_back();
            place.pop_back();
        }
        return {path, place};
    }

    std::string backup_path(const Path& place) const {
        return root_.first + place.string().substr(root_.second.size());
    }

    void lose(const std::string& path, const std::string& reason) { lost_.emplace(path, reason); }

    // The writer has done so, but a file without even a header may be worse than none.
    void cut_off(const DamagedFile& file) {
        if (file.whole == 0) {
            remove(file.place);
        }
    }

    void remove(const Path& place) {
        if (is_there(place)) {
            lose(backup_path(place), reason_);
            remove_tree(place);
        }
    }

    template <class Condition>
    void remove_if(const Path& directory, Condition condition) {
        std::vector<Path> found;
        std::error_code gone;
        for (const auto& entry : fs::directory_iterator(directory, gone)) {
            const auto number = number_of(entry.path());
            if (number && condition(entry.path(), *number)) {
                found.push_back(entry.path());
            }
        }
        std::ranges::for_each(found, [this](const Path& place) { remove(place); });
    }

    static std::uint64_t highest(const Path& directory) {
        std::uint64_t found = 0;
        std::error_code gone;
        for (const auto& entry : fs::directory_iterator(directory, gone)) {
            found = std::max(found, number_of(entry.path()).value_or(0));
        }
        return found;
    }

    void remove_server(const DamagedFile& file, std::size_t parts) {
        Path server = file.place;
        for (; parts > parts_of_server; --parts) {
            server = server.parent_path();
        }
        std::error_code gone;
        for (const auto& entry : fs::recursive_directory_iterator(server, gone)) {
            if (!entry.is_directory()) {
                lose(backup_path(entry.path()), reason_);
            }
        }
        remove_tree(server);
    }

    std::map<std::string, std::string> lost_;
    std::string reason_;  // of the file that is given up now
    std::pair<std::string, std::string> root_;
};

}  // namespace

std::vector<LostFile> give_up(const std::vector<DamagedFile>& damaged) {
    Salvage salvage;
    for (const DamagedFile& file : damaged) {
        salvage.give_up(file);
    }
    return salvage.lost();
}

}  // namespace hot_backup
