#include "sidecar/repository/manifest.hpp"

#include "sidecar/repository/identifier.hpp"
#include "sidecar/repository/json_fields.hpp"

#include <array>
#include <charconv>
#include <cstdio>

namespace hot_backup {
namespace {

constexpr std::string_view format = "rabbitmq-hot-backup manifest";
constexpr unsigned version = 1;

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

OrderedJson to_json(const MessageTotals& messages) {
    return {{"queues", messages.queues},
            {"ready", messages.ready},
            {"unacknowledged", messages.unacknowledged},
            {"bytes", messages.bytes},
            {"counted", to_text(messages.counted)}};
}

OrderedJson to_json(const CutSummary& cut) {
    return {{"acquisition_us", cut.acquisition_us},
            {"hold_us", cut.hold_us},
            {"pause_us", cut.pause_us},
            {"attempts", cut.attempts},
            {"passes", cut.passes},
            {"files", cut.files},
            {"memory_bytes", cut.memory_bytes},
            {"tail_bytes", cut.tail_bytes}};
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
                     {"data_dir", summary.data_dir},
                     {"metadata", to_json(summary.metadata)},
                     {"counts", to_json(summary.counts)}};
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

MessageTotals read_messages(const Fields& fields) {
    return {fields.number("queues"), fields.number("ready"), fields.number("unacknowledged"),
            fields.number("bytes"), fields.time("counted")};
}

CutSummary read_cut(const Fields& fields) {
    CutSummary cut;
    cut.acquisition_us = fields.number("acquisition_us");
    cut.hold_us = fields.number("hold_us");
    cut.pause_us = fields.number("pause_us");
    cut.attempts = fields.number("attempts");
    cut.passes = fields.number("passes");
    cut.files = fields.number("files");
    cut.memory_bytes = fields.number("memory_bytes");
    cut.tail_bytes = fields.number("tail_bytes");
    return cut;
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
