// One item of `metadata/snapshot` (docs/format.md), taken apart without building its term.
//
// The name of its table (or, in Khepri, of its record) decides what an item is about; the record is
// decoded only by those who want it.
#pragma once

#include "sidecar/definitions/records.hpp"

#include <functional>
#include <string_view>

namespace hot_backup {

struct Item {
    enum class Kind {
        record,       // `{Table, Key, ...}`, or `{put, Path, Payload, Properties}` with data
        deletion,     // `{Table, Key}`
        description,  // log_header, schema: about the snapshot or a table
        no_data,      // `{put, Path, Payload, Properties}` without data: a mere node of the tree
    };
    Kind kind = Kind::description;
    Category category = Category::other;
    // The table's name; "khepri" for an item of its export.
    std::string_view table;
    // The encoded table name and key, by which a deletion finds its records. Empty for Khepri,
    // whose paths are unique.
    std::string_view identity;
    // The encoded record, or the encoded data of a Khepri payload.
    std::string_view data;
};

// `encoded` is an item that has passed erlang::check_term(); the result points into it. Throws
// Error (damaged) when it is no item of the grammar.
Item parse_item(std::string_view encoded);

// Decodes the records that an item holds: itself, or each binding of a Khepri route, which is a
// set.
void for_each_record(const Item& item, const std::function<void(const erlang::Term&)>& consume);

// How many records that are, without decoding them.
std::uint64_t count_records(const Item& item);

}  // namespace hot_backup
