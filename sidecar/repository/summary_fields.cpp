#include "sidecar/repository/summary_fields.hpp"

namespace hot_backup {

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

}  // namespace hot_backup
