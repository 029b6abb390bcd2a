#include "sidecar/engine/affected_queues.hpp"

#include "sidecar/definitions/records.hpp"
#include "sidecar/definitions/text.hpp"

#include <algorithm>

namespace hot_backup {
namespace {

// docs/format.md, `affected`. Mirrors of a classic queue do not vote: what counts is its leader.
std::string effect_of(std::string_view type, std::uint64_t present, std::uint64_t members,
                      bool has_leader) {
    if (present == 0) {
        return "lost";
    }
    const bool complete = type == "classic" ? has_leader : 2 * present > members;
    return complete ? "degraded" : "no_quorum";
}

}  // namespace

std::vector<AffectedQueue> affected_queues(Snapshot& snapshot,
                                           const std::vector<std::string>& missing) {
    const auto is_missing = [&](const std::string& node) {
        return std::ranges::find(missing, node) != missing.end();
    };
    std::vector<AffectedQueue> affected;
    const auto look = [&](const erlang::Term& record) {
        const auto queue = queue_of(record);
        const auto placement = placement_of(record);
        const auto absent =
            static_cast<std::uint64_t>(std::ranges::count_if(placement.members, is_missing));
        if (!queue.is_lasting() || absent == 0) {
            return;
        }
        const auto present = placement.members.size() - absent;
        affected.push_back({.vhost = replace_invalid_utf8(queue.resource.vhost),
                            .name = replace_invalid_utf8(queue.resource.name),
                            .type = std::string(queue.type),
                            .leader = placement.leader,
                            .members = placement.members,
                            .present = present,
                            .effect = effect_of(queue.type, present, placement.members.size(),
                                                !is_missing(placement.leader))});
    };
    snapshot.for_each(Category::queues, [&](const erlang::Term& record) {
        try {
            look(record);
        } catch (const Error&) {
            // A shape that is not known here: no reason to have no backup. verify tells of it.
        }
    });
    return affected;
}

erlang::Term to_term(const std::vector<AffectedQueue>& affected) {
    std::vector<erlang::Term> queues;
    for (const auto& queue : affected) {
        queues.push_back(erlang::map({{"vhost", erlang::binary(queue.vhost)},
                                      {"name", erlang::binary(queue.name)},
                                      {"type", erlang::binary(queue.type)},
                                      {"leader", erlang::binary(queue.leader)},
                                      {"members", binaries(queue.members)},
                                      {"present", erlang::integer(queue.present)},
                                      {"effect", erlang::binary(queue.effect)}}));
    }
    return erlang::list(std::move(queues));
}

std::vector<AffectedQueue> read_affected(const MapFields& prepared) {
    std::vector<AffectedQueue> affected;
    for (const auto& queue : prepared.maps("affected")) {
        affected.push_back({.vhost = queue.text("vhost"),
                            .name = queue.text("name"),
                            .type = queue.text("type"),
                            .leader = queue.text("leader"),
                            .members = queue.texts("members"),
                            .present = queue.count("present"),
                            .effect = queue.text("effect")});
    }
    return affected;
}

}  // namespace hot_backup
