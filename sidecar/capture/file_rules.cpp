#include "sidecar/capture/file_rules.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace hot_backup {
namespace {

struct Rule {
    Area area;
    std::string_view ending;  // of the file's name
    CopyRule rule;
};

// The first line that fits counts. What none fits is `in_place`: it is small, or nobody said that
// its bytes stay.
constexpr std::array rules{
    // It names a process that an image does not have.
    Rule{Area::any, ".pid", CopyRule::left_out},

    // rabbit_msg_store appends to the file of the highest number only. Its garbage collection moves
    // messages within the others, truncates and deletes them.
    Rule{Area::message_stores, ".rdq", CopyRule::message_store},
    // RabbitMQ 3.x combines two files through this one. Until it is done, the left file ends in
    // zeros where messages belong that only the .rdt holds, and a recovery that finds both appends
    // them behind the zeros, where its own scan does not look.
    Rule{Area::message_stores, ".rdt", CopyRule::combine_in_flight},
    // The index of a version 1 queue, one segment: publishes, deliveries and acknowledgements are
    // appended. When all is acknowledged the file is deleted, and a new one may take its name.
    Rule{Area::message_stores, ".idx", CopyRule::append_only},
    // What of that index is in no segment yet, up to some megabytes; emptied when it is.
    Rule{Area::message_stores, "journal.jif", CopyRule::journal},
    // The store of a version 2 queue: 3.x appends; 4.x reserves places in order, and what is
    // flushed
    // is complete up to its end.
    Rule{Area::message_stores, ".qs", CopyRule::append_only},
    // Written when the node is stopped in order, for its next start. Without them it recovers from
    // the data itself, as it has to: of a running node these are stale or half written.
    Rule{Area::message_stores, "recovery.dets", CopyRule::left_out},
    Rule{Area::message_stores, "clean.dot", CopyRule::left_out},
    Rule{Area::message_stores, "file_summary.ets", CopyRule::left_out},
    Rule{Area::message_stores, "msg_store_index.ets", CopyRule::left_out},

    // ra_log_wal appends, rolls over to a new file, and deletes the old one later.
    Rule{Area::raft, ".wal", CopyRule::raft_log},
    // ra_log_segment appends the entries, and fills in their index at the front.
    Rule{Area::raft, ".segment", CopyRule::raft_segment},

    // osiris_log appends chunks, and their index records afterwards.
    Rule{Area::streams, ".segment", CopyRule::append_only},
    Rule{Area::streams, ".index", CopyRule::append_only},
};

std::string_view file_name(std::string_view path) {
    return path.substr(path.rfind('/') + 1);
}

std::uint64_t big_endian_16(std::string_view bytes, std::size_t at) {
    return static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[at])) << 8 |
           static_cast<unsigned char>(bytes[at + 1]);
}

}  // namespace

Area area_of_directory(std::string_view name) {
    if (name == "msg_stores") {
        return Area::message_stores;
    }
    // Ra keeps the write-ahead log of the quorum queues elsewhere if it is told to (wal_data_dir).
    if (name == "quorum" || name == "quorum_wal" || name == "coordination") {
        return Area::raft;
    }
    return name == "stream" ? Area::streams : Area::any;
}

Area area_of(std::string_view image_path) {
    Area area = Area::any;
    for (std::size_t end = image_path.find('/'); area == Area::any && end != std::string_view::npos;
         end = image_path.find('/')) {
        area = area_of_directory(image_path.substr(0, end));
        image_path.remove_prefix(end + 1);
    }
    return area;
}

CopyRule rule_for(std::string_view image_path) {
    const Area area = area_of(image_path);
    const std::string_view name = file_name(image_path);
    const auto* found = std::find_if(rules.begin(), rules.end(), [&](const Rule& rule) {
        const bool whole_name = !rule.ending.starts_with('.');
        return (rule.area == Area::any || rule.area == area) &&
               (whole_name ? name == rule.ending : name.ends_with(rule.ending));
    });
    if (found == rules.end()) {
        return CopyRule::in_place;
    }
    if (found->rule == CopyRule::message_store && !message_store_number(image_path)) {
        return CopyRule::in_place;
    }
    return found->rule;
}

std::optional<std::uint64_t> message_store_number(std::string_view image_path) {
    constexpr std::string_view ending = ".rdq";
    std::string_view name = file_name(image_path);
    if (!name.ends_with(ending)) {
        return {};
    }
    name.remove_suffix(ending.size());
    std::uint64_t number = 0;
    const char* end = name.data() + name.size();
    const auto [stop, error] = std::from_chars(name.data(), end, number);
    if (error != std::errc{} || stop != end) {
        return {};
    }
    return number;
}

std::optional<std::uint64_t> raft_index_end(std::string_view header) {
    constexpr std::string_view magic = "RASG";
    // Of version 2. Those of version 1 have 28 bytes; to take them for longer does no harm.
    constexpr std::uint64_t record_size = 32;
    if (header.size() < raft_header_size || !header.starts_with(magic)) {
        return {};
    }
    const std::uint64_t version = big_endian_16(header, 4);
    if (version != 1 && version != 2) {
        return {};
    }
    return raft_header_size + big_endian_16(header, 6) * record_size;
}

}  // namespace hot_backup
