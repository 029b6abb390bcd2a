#include "sidecar/repository/manifest.hpp"

#include "sidecar/repository/identifier.hpp"
#include "sidecar/repository/json_fields.hpp"
#include "sidecar/repository/summary_fields.hpp"

#include <array>
#include <charconv>
#include <cstdio>

namespace hot_backup {
namespace {

constexpr std::string_view format = "rabbitmq-hot-backup manifest";
// A backup of its own has version 1, a part of a cluster backup version 2: a program that knows
// only the first must not take a part for a whole.
constexpr unsigned version_of_backup = 1;
constexpr unsigned version_of_part = 2;

// Writing. Keys appear in the order of docs/format.md.

std::string mode_text(std::uint32_t mode) {
    std::array<char, 16> text{};
    const int size = std::snprintf(text.data(), text.size(), "%04o", mode);
    return {text.data(), static_cast<std::size_t>(size)};
}

OrderedJson to_json(const Extent& extent) {
    OrderedJson json{{"pack", extent.pack.text()},
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
    if (!entry.target.empty()) {
        json["target"] = entry.target;
    }
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

OrderedJson to_json(const Summary& summary) {
    OrderedJson plugins = OrderedJson::array();
    for (const PluginVersion& plugin : summary.plugins) {
        plugins.push_back({{"name", plugin.name}, {"version", plugin.version}});
    }
    OrderedJson packs = OrderedJson::array();
    for (const PackSize& pack : summary.packs) {
        packs.push_back({{"name", pack.name}, {"bytes", pack.bytes}});
    }
    OrderedJson json{{"program", summary.program},
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
                     {"data_dir", summary.data_dir}};
    if (const auto& part = summary.part) {
        json["part"] = {{"cluster_backup", part->cluster_backup},
                        {"node", part->node},
                        {"metadata", part->metadata}};
    }
    if (has_metadata(summary)) {
        json["metadata"] = to_json(summary.metadata);
        json["counts"] = to_json(summary.counts);
    }
    if (summary.messages) {
        json["messages"] = to_json(*summary.messages);
    }
    if (summary.cut) {
        json["cut"] = to_json(*summary.cut);
    }
    json["files"] = summary.files;
    json["bytes"] = summary.bytes;
    json["stored_bytes"] = summary.stored_bytes;
    json["packs"] = std::move(packs);
    for (const LogEvent& event : summary.log) {
        json["log"].push_back(to_json(event));
    }
    return json;
}

// Reading. Everything throws BadField.

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

// Shares the name of its pack with the extent before it, if that is the same.
Extent read_extent(const Json& json, const PackName& last_pack) {
    const Fields fields(json);
    Extent extent;
    const std::string& pack = fields.text("pack");
    extent.pack = pack == last_pack.text() ? last_pack : PackName(pack);
    extent.offset = fields.number("offset", INT64_MAX - max_stored_size);
    extent.size = fields.number("size", max_extent_size);
    extent.digest = fields.digest("xxh3_128");
    if (fields.has("codec")) {
        extent.encoding = std::make_shared<const Extent::Encoding>(
            Extent::Encoding{fields.text("codec"), fields.number("stored", max_stored_size),
                             fields.digest("stored_xxh3_128")});
    }
    return extent;
}

FileEntry read_file_entry(const Json& json, std::string_view backup_id) {
    const Fields fields(json);
    FileEntry entry;
    entry.path = fields.text("file");
    entry.kind = fields.text("kind");
    entry.size = fields.number("size");
    if (fields.has("target")) {
        entry.target = fields.text("target");
    }
    if (fields.has("origin")) {
        entry.origin = Origin{fields.text("origin"), read_mode(fields), fields.time("mtime")};
    }
    const Json& extents = fields.array("extents");
    entry.extents.reserve(extents.size());
    PackName last_pack;
    for (const Json& extent : extents) {
        entry.extents.push_back(read_extent(extent, last_pack));
        last_pack = entry.extents.back().pack;
    }
    if (const std::string problem = problem_of(entry, backup_id); !problem.empty()) {
        throw BadField(problem);
    }
    return entry;
}

std::vector<PackSize> read_packs(const Fields& fields, std::string_view backup_id) {
    std::vector<PackSize> packs;
    for (const Json& json : fields.array("packs")) {
        const Fields pack(json);
        packs.push_back({pack.text("name"), pack.number("bytes")});
        if (!is_pack_name(packs.back().name)) {
            throw BadField("\"" + packs.back().name + "\" is not the name of a pack");
        }
        if (backup_of_pack(packs.back().name) != backup_id) {
            throw BadField("another backup made pack \"" + packs.back().name + "\"");
        }
    }
    return packs;
}

PartSummary read_part(const Fields& fields, std::string_view backup_id) {
    PartSummary part{fields.text("cluster_backup"), fields.text("node"),
                     fields.boolean("metadata")};
    if (!is_backup_id(part.cluster_backup) || part.cluster_backup >= backup_id) {
        throw BadField("\"" + part.cluster_backup +
                       "\" is not the ID of a cluster backup that it can be a part of");
    }
    return part;
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
    if (summary.kind == part_kind) {
        summary.part = read_part(fields.object("part"), backup_id);
    }
    if (has_metadata(summary)) {
        summary.metadata = read_metadata(fields.object("metadata"));
        summary.counts = read_counts(fields.object("counts"));
    }
    if (fields.has("messages")) {
        summary.messages = read_messages(fields.object("messages"));
    }
    if (fields.has("cut")) {
        summary.cut = read_cut(fields.object("cut"));
    }
    summary.files = fields.number("files");
    summary.bytes = fields.number("bytes");
    summary.stored_bytes = fields.number("stored_bytes");
    summary.packs = read_packs(fields, backup_id);
    if (fields.has("log")) {
        for (const Json& event : fields.array("log")) {
            summary.log.push_back(read_log_event(Fields(event)));
        }
    }
    return summary;
}

}  // namespace

bool has_metadata(const Summary& summary) {
    return !summary.part || summary.part->metadata;
}

std::string summary_text(const Summary& summary) {
    return to_line(to_json(summary));
}

Summary parse_summary(std::string_view text, std::string_view backup_id) {
    const Json json = parse_object(text);
    return read_summary(Fields(json), backup_id);
}

std::optional<ManifestHead> parse_manifest_head(std::string_view line) {
    try {
        const Json json = parse_object(line);
        const Fields fields(json);
        if (fields.text("format") != format) {
            return std::nullopt;
        }
        if (fields.number("version") != version_of_part) {
            return ManifestHead{};
        }
        // It becomes a name of files.
        auto cluster_backup = fields.text("cluster_backup");
        return is_backup_id(cluster_backup) ? std::optional(ManifestHead{std::move(cluster_backup)})
                                            : std::nullopt;
    } catch (const BadField&) {
        return std::nullopt;
    }
}

ManifestWriter::ManifestWriter(OpenFile& file, std::string_view backup_id, const Summary& summary)
    : text_(file) {
    OrderedJson first{{"format", format},
                      {"version", summary.part ? version_of_part : version_of_backup},
                      {"backup", backup_id}};
    if (summary.part) {
        first["cluster_backup"] = summary.part->cluster_backup;
    }
    text_.write_line(to_line(first));
    text_.write_line(to_line(OrderedJson{{"summary", to_json(summary)}}));
}

void ManifestWriter::write_file(const FileEntry& entry) {
    text_.write_line(to_line(to_json(entry)));
}

ManifestReader::ManifestReader(FileSystem& file_system, const Path& path, std::string backup_id)
    : text_(file_system, path), backup_id_(std::move(backup_id)) {
    try {
        const Json first = parse_object(read_format_line(text_, format, version_of_part));
        const Fields head(first);
        if (head.text("backup") != backup_id_) {
            throw BadField("it is the manifest of another backup");
        }
        const auto line = text_.next_line();
        if (!line) {
            throw BadField("it has no summary");
        }
        const Json second = parse_object(*line);
        summary_ = read_summary(Fields(second).object("summary"), backup_id_);
        if (summary_.part.has_value() != (head.number("version") == version_of_part)) {
            throw BadField("its version is not that of its kind");
        }
        if (summary_.part && summary_.part->cluster_backup != head.text("cluster_backup")) {
            throw BadField("its lines name two cluster backups");
        }
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
