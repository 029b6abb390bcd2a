#include "sidecar/cli/cluster_parts_output.hpp"

namespace hot_backup {
namespace {

std::string place_of(const PlacedPart& placed) {
    switch (placed.state) {
        case PartState::here:
            return "here";
        case PartState::missing:
            return "MISSING";
        case PartState::elsewhere:
            break;
    }
    return "in " + printable(placed.part.path) + " on " + printable(placed.part.host);
}

}  // namespace

const char* name_of(PartState state) {
    switch (state) {
        case PartState::here:
            return "here";
        case PartState::missing:
            return "missing";
        case PartState::elsewhere:
            break;
    }
    return "elsewhere";
}

void add_states(OrderedJson& json, const std::vector<PlacedPart>& parts) {
    for (std::size_t i = 0; i < parts.size(); ++i) {
        json["parts"][i]["state"] = name_of(parts[i].state);
    }
}

void print_parts(const std::vector<PlacedPart>& parts, Output& output) {
    for (const PlacedPart& placed : parts) {
        const ClusterPart& part = placed.part;
        output.line("  " + part.backup + "  " + pad(format_bytes(part.bytes), 8) + "  " +
                    pad(format_pause(part.cut.pause_us), 9) + "  " + printable(part.node) + ", " +
                    place_of(placed) + (part.metadata ? ", with the metadata" : ""));
    }
}

}  // namespace hot_backup
