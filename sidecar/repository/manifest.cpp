#include "sidecar/repository/manifest.hpp"

#include "sidecar/repository/identifier.hpp"
#include "sidecar/repository/json_fields.hpp"
#include "sidecar/repository/pack.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>

namespace hot_backup {
namespace {

constexpr std::string_view format = "rabbitmq-hot-backup manifest";
constexpr unsigned version = 1;
constexpr std::uint64_t max_stored_size = max_extent_size + (std::uint64_t{1} << 20);

// JSON is UTF-8, so its writer knows.
bool is_utf8(std::string_view text) {
    try {
        static_cast<void>(Json(text).dump());
        return true;
    } catch (const Json::type_error&) {
        return false;
    }
}

// Writing. Keys appear in the order of docs/format.md.

std::string mode_text(std::uint32_t mode) {
    std::array<char, 16> text{};
    const int size = std::snprintf(text.data(), text.size(), "%04o", mode);
    return {text.data(), static_cast<std::size_t>(size)};
}

OrderedJson to_json(const Extent& extent) {
    OrderedJson json{{"pack", extent.pack},
                     {"offset", extent.offset},
                     {"size", extent.size},
                     {"xxh3_128", extent.digest.hex()}};
    if (extent.encoding) {
        json["codec"] = extent.encoding->codec;
        json["stored"] = extent.encoding->stored;
        json["stored_xxh3_128"] = extent.encoding->stored_digest.hex();
    }
    return json;
}

OrderedJson to_json(const FileEntry& entry) {
    OrderedJson json{{"file", entry.path}, {"kind", entry.kind}, {"size", entry.size}};
    if (entry.origin) {
        json["origin"] = entry.origin->path;
        json["mode"] = mode_text(entry.origin->mode);
        json["mtime"] = to_text(entry.origin->mtime);
    }
    json["extents"] = OrderedJson::array();
    for (const Extent& extent : entry.extents) {
        json["extents"].push_back(to_json(extent));
    }
    return json;
}

OrderedJson to_json(const MetadataSummary& metadata) {
    OrderedJson skipped = OrderedJson::array();
    for (const SkippedTable& table : metadata.skipped) {
        skipped.push_back({{"table", table.table}, {"reason", table.reason}});
    }
    return {{"store", metadata.store},       {"activation_us", metadata.activation_us},
            {"messages", metadata.messages}, {"items", metadata.items},
            {"tables", metadata.tables},     {"skipped", skipped}};
}

OrderedJson to_json(const Counts& counts) {
    return {{"vhosts", counts.vhosts},     {"users", counts.users},
            {"queues", counts.queues},     {"exchanges", counts.exchanges},
            {"bindings", counts.bindings}, {"policies", counts.policies}};
}

OrderedJson to_json(const Summary& summary) {
    OrderedJson plugins = OrderedJson::array();
    for (const PluginVersion& plugin : summary.plugins) {
        plugins.push_back({{"name", plugin.name}, {"version", plugin.version}});
    }
    OrderedJson packs = OrderedJson::array();
    for (const PackSize& pack : summary.packs) {
        packs.push_back({{"name", pack.name}, {"bytes", pack.bytes}});
    }
    return {{"program", summary.program},
            {"kind", summary.kind},
            {"started", to_text(summary.started)},
            {"finished", to_text(summary.finished)},
            {"instant", to_text(summary.instant)},
            {"node", summary.node},
            {"cluster", summary.cluster},
            {"rabbitmq_version", summary.rabbitmq_version},
            {"erlang_version", summary.erlang_version},
            {"plugin_version", summary.plugin_version},
            {"plugins", plugins},
            {"data_dir", summary.data_dir},
            {"metadata", to_json(summary.metadata)},
            {"counts", to_json(summary.counts)},
            {"files", summary.files},
            {"bytes", summary.bytes},
            {"stored_bytes", summary.stored_bytes},
            {"packs", packs}};
}

// Reading. Everything throws BadField.

std::string read_pack_name(const Fields& fields, const char* key, std::string_view backup_id) {
    const std::string& name = fields.text(key);
    if (!is_pack_name(name)) {
        throw BadField("\"" + name + "\" is not the name of a pack");
    }
    if (backup_of_pack(name) > backup_id) {
        throw BadField("pack \"" + name + "\" is newer than the backup");
    }
    return name;
}

std::uint32_t read_mode(const Fields& fields) {
    const std::string& text = fields.text("mode");
    std::uint32_t mode = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, mode, 8);
    if (error != std::errc{} || stop != end || mode > 07777) {
        throw BadField("\"mode\" is not an octal number of permission bits");
    }
    return mode;
}

Extent read_extent(const Json& json, std::string_view backup_id) {
    const Fields fields(json);
    Extent extent;
    extent.pack = read_pack_name(fields, "pack", backup_id);
    extent.offset = fields.number("offset", INT64_MAX - max_stored_size);
    extent.size = fields.number("size", max_extent_size);
    extent.digest = fields.digest("xxh3_128");
    if (fields.has("codec")) {
        extent.encoding =
            Extent::Encoding{fields.text("codec"), fields.number("stored", max_stored_size),
                             fields.digest("stored_xxh3_128")};
    }
    if (extent.size == 0 || extent.stored_size() == 0) {
        throw BadField("an extent is empty");
    }
    if (extent.offset < pack_header_size) {
        throw BadField("an extent begins inside the header of its pack");
    }
    return extent;
}

FileEntry read_file_entry(const Json& json, std::string_view backup_id) {
    const Fields fields(json);
    FileEntry entry;
    entry.path = fields.text("file");
    if (!is_path_in_backup(entry.path)) {
        throw BadField("\"" + entry.path + "\" is not a path within a backup");
    }
    entry.kind = fields.text("kind");
    entry.size = fields.number("size");
    if (fields.has("origin")) {
        entry.origin = Origin{fields.text("origin"), read_mode(fields), fields.time("mtime")};
    }
    const Json& extents = fields.array("extents");
    entry.extents.reserve(extents.size());
    std::uint64_t sum = 0;
    for (const Json& extent : extents) {
        entry.extents.push_back(read_extent(extent, backup_id));
        sum += entry.extents.back().size;
    }
    if (sum != entry.size) {
        throw BadField("the extents of \"" + entry.path + "\" do not add up to its size");
    }
    return entry;
}

MetadataSummary read_metadata(const Fields& fields) {
    MetadataSummary metadata;
    metadata.store = fields.text("store");
    metadata.activation_us = fields.number("activation_us");
    metadata.messages = fields.number("messages");
    metadata.items = fields.number("items");
    for (const Json& table : fields.array("tables")) {
        if (!table.is_string()) {
            throw BadField("the name of a table is not a string");
        }
        metadata.tables.push_back(table.get<std::string>());
    }
    for (const Json& table : fields.array("skipped")) {
        const Fields skipped(table);
        metadata.skipped.push_back({skipped.text("table"), skipped.text("reason")});
    }
    return metadata;
}

Counts read_counts(const Fields& fields) {
    Counts counts;
    counts.vhosts = fields.number("vhosts");
    counts.users = fields.number("users");
    counts.queues = fields.number("queues");
    counts.exchanges = fields.number("exchanges");
    counts.bindings = fields.number("bindings");
    counts.policies = fields.number("policies");
    return counts;
}

std::vector<PackSize> read_packs(const Fields& fields, std::string_view backup_id) {
    std::vector<PackSize> packs;
    for (const Json& json : fields.array("packs")) {
        const Fields pack(json);
        packs.push_back({read_pack_name(pack, "name", backup_id), pack.number("bytes")});
        if (backup_of_pack(packs.back().name) != backup_id) {
            throw BadField("another backup made pack \"" + packs.back().name + "\"");
        }
    }
    return packs;
}

Summary read_summary(const Fields& fields, std::string_view backup_id) {
    Summary summary;
    summary.program = fields.text("program");
    summary.kind = fields.text("kind");
    summary.started = fields.time("started");
    summary.finished = fields.time("finished");
    summary.instant = fields.time("instant");
    summary.node = fields.text("node");
    summary.cluster = fields.text("cluster");
    summary.rabbitmq_version = fields.text("rabbitmq_version");
    summary.erlang_version = fields.text("erlang_version");
    summary.plugin_version = fields.text("plugin_version");
    for (const Json& json : fields.array("plugins")) {
        const Fields plugin(json);
        summary.plugins.push_back({plugin.text("name"), plugin.text("version")});
    }
    summary.data_dir = fields.text("data_dir");
    summary.metadata = read_metadata(fields.object("metadata"));
    summary.counts = read_counts(fields.object("counts"));
    summary.files = fields.number("files");
    summary.bytes = fields.number("bytes");
    summary.stored_bytes = fields.number("stored_bytes");
    summary.packs = read_packs(fields, backup_id);
    return summary;
}

}  // namespace

bool is_path_in_backup(std::string_view path) {
    if (path.find('\0') != std::string_view::npos) {
        return false;
    }
    for (std::size_t begin = 0; begin <= path.size();) {
        const std::size_t end = std::min(path.find('/', begin), path.size());
        const std::string_view part = path.substr(begin, end - begin);
        if (part.empty() || part == "." || part == "..") {
            return false;
        }
        begin = end + 1;
    }
    return is_utf8(path);
}

ManifestWriter::ManifestWriter(OpenFile& file, std::string_view backup_id, const Summary& summary)
    : text_(file) {
    text_.write_line(
        to_line(OrderedJson{{"format", format}, {"version", version}, {"backup", backup_id}}));
    text_.write_line(to_line(OrderedJson{{"summary", to_json(summary)}}));
}

void ManifestWriter::write_file(const FileEntry& entry) {
    text_.write_line(to_line(to_json(entry)));
}

ManifestReader::ManifestReader(FileSystem& file_system, const Path& path, std::string backup_id)
    : text_(file_system, path), backup_id_(std::move(backup_id)) {
    try {
        const Json first = parse_object(read_format_line(text_, format, version));
        if (Fields(first).text("backup") != backup_id_) {
            throw BadField("it is the manifest of another backup");
        }
        const auto line = text_.next_line();
        if (!line) {
            throw BadField("it has no summary");
        }
        const Json second = parse_object(*line);
        summary_ = read_summary(Fields(second).object("summary"), backup_id_);
    } catch (const BadField& bad) {
        throw text_.damaged(bad.what());
    }
}

std::optional<FileEntry> ManifestReader::next_file() {
    try {
        const auto line = text_.next_line();
        if (!line) {
            if (files_ != summary_.files || bytes_ != summary_.bytes ||
                stored_bytes_ != summary_.stored_bytes) {
                throw BadField("its files do not add up to its summary");
            }
            return std::nullopt;
        }
        FileEntry entry = read_file_entry(parse_object(*line), backup_id_);
        if (files_ > 0 && entry.path <= last_path_) {
            throw BadField("\"" + entry.path + "\" is out of order");
        }
        last_path_ = entry.path;
        ++files_;
        bytes_ += entry.size;
        for (const Extent& extent : entry.extents) {
            stored_bytes_ += extent.stored_size();
        }
        return entry;
    } catch (const BadField& bad) {
        throw text_.damaged(bad.what());
    }
}

}  // namespace hot_backup
