// Where the parts of a cluster backup are, seen from the repositories that are at hand: this one,
// and what of the others is mounted or was copied here.
#pragma once

#include "sidecar/repository/verify.hpp"

#include <vector>

namespace hot_backup {

enum class PartState {
    here,       // as it was made, or at least its manifest
    missing,    // it was made in this repository, and is not there
    elsewhere,  // in a repository that is not at hand
};

struct PlacedPart {
    ClusterPart part;
    PartState state = PartState::elsewhere;
    const Repository* repository = nullptr;  // that has it; null unless it is here
};

// In the order of the manifest. The repositories outlive the result; the first one that has a part
// as it was made is the one that counts.
std::vector<PlacedPart> place_parts(const std::vector<Repository>& repositories,
                                    const std::string& cluster_id, const ClusterManifest& manifest);

// Of a part that is here: as verify_backup(), and whether its manifest is the one that was made. A
// missing one has a finding that says so.
VerifyReport verify_part(const PlacedPart& placed, const VerifyCallbacks& callbacks = {});

}  // namespace hot_backup
