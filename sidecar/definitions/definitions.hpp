// Portable definitions JSON from a snapshot, offline: what `rabbitmqctl export_definitions` would
// have written at the instant of the backup, in the form that `rabbitmqctl import_definitions`
// accepts.
//
// It differs from the broker's own export on purpose in this:
// - exclusive and non-durable queues and exchanges, and the bindings from or to them, are left out:
//   they end with their connection or their node;
// - property lists (limits, parameter values) are always objects, where the broker's encoders
//   differ among versions;
// - what the broker keeps for itself among parameters is left out: no broker takes it back;
// - vhosts say their default queue type in `metadata` only: 4.0 and 4.1.0 say it once more, and for
//   vhosts without one that of the node, which an import would give them for good. 4.1.1 took that
//   back.
#pragma once

#include "sidecar/definitions/snapshot_reader.hpp"

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <string>
#include <string_view>

namespace hot_backup {

struct DefinitionsHeader {
    std::string rabbitmq_version;  // of the node
};

struct DefinitionsReport {
    // Strings with bytes that are not UTF-8, which JSON cannot hold: each such byte became U+FFFD.
    std::uint64_t replaced_strings = 0;
};

// Writes the document to `out`, a definition a line, in memory that does not grow with the
// snapshot. Throws Error (damaged) when the snapshot does not parse, and Error (failed) when a
// record has a shape that is not known or `out` refuses bytes. What was written before an error is
// no document.
DefinitionsReport write_definitions(Snapshot& snapshot, const DefinitionsHeader& header,
                                    std::ostream& out);

// The same for those who look at the definitions rather than write them down: hands out each as its
// JSON object, with the name of its section ("queues"). Memory: a definition. What `consume` throws
// passes through.
void for_each_definition(
    Snapshot& snapshot, const DefinitionsHeader& header,
    const std::function<void(std::string_view section, std::string_view definition)>& consume);

}  // namespace hot_backup
