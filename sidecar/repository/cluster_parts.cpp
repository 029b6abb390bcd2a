#include "sidecar/repository/cluster_parts.hpp"

#include <algorithm>

namespace hot_backup {
namespace {

PlacedPart place(const std::vector<Repository>& repositories, const std::string& cluster_id,
                 const ClusterPart& part) {
    const auto find = [&](auto&& has_it) {
        const auto found = std::find_if(repositories.begin(), repositories.end(), has_it);
        return found == repositories.end() ? nullptr : &*found;
    };
    const Repository* whole = find([&](const Repository& one) { return one.has_part(part); });
    if (whole != nullptr) {
        return {part, PartState::here, whole};
    }
    const Repository* origin =
        find([&](const Repository& one) { return one.id() == part.repository; });
    if (origin == nullptr) {
        return {part, PartState::elsewhere, nullptr};
    }
    if (origin->cluster_of(part.backup) == cluster_id) {
        return {part, PartState::here, origin};
    }
    return {part, PartState::missing, nullptr};
}

Finding of_manifest(const ClusterPart& part, std::string reason) {
    Finding finding;
    finding.what = Finding::What::manifest;
    finding.name = "manifests/" + part.backup + ".manifest";
    finding.reason = std::move(reason);
    return finding;
}

}  // namespace

std::vector<PlacedPart> place_parts(const std::vector<Repository>& repositories,
                                    const std::string& cluster_id,
                                    const ClusterManifest& manifest) {
    std::vector<PlacedPart> placed;
    for (const ClusterPart& part : manifest.parts) {
        placed.push_back(place(repositories, cluster_id, part));
    }
    return placed;
}

VerifyReport verify_part(const PlacedPart& placed, const VerifyCallbacks& callbacks) {
    const ClusterPart& part = placed.part;
    VerifyReport report;
    report.backup_id = part.backup;
    if (placed.repository == nullptr) {
        report.findings.push_back(of_manifest(
            part,
            "the part of " + part.node + " is missing in the repository that it was made in"));
        return report;
    }
    report = verify_backup(*placed.repository, part.backup, callbacks);
    if (report.whole() && !placed.repository->has_part(part)) {
        report.findings.push_back(
            of_manifest(part, "it is not the manifest that belongs to the cluster backup"));
    }
    return report;
}

}  // namespace hot_backup
