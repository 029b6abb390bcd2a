// What a manifest of a backup and one of a cluster backup say in the same words, as JSON.
// docs/format.md, "ID.manifest".
#pragma once

#include "sidecar/json.hpp"
#include "sidecar/repository/json_fields.hpp"
#include "sidecar/repository/manifest.hpp"

namespace hot_backup {

// Keys appear in the order of docs/format.md.
OrderedJson to_json(const MetadataSummary& metadata);
OrderedJson to_json(const Counts& counts);
OrderedJson to_json(const MessageTotals& messages);
OrderedJson to_json(const CutSummary& cut);

// Each throws BadField.
MetadataSummary read_metadata(const Fields& fields);
Counts read_counts(const Fields& fields);
MessageTotals read_messages(const Fields& fields);
CutSummary read_cut(const Fields& fields);

}  // namespace hot_backup
