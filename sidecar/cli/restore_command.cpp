#include "sidecar/cli/choose_backup.hpp"
#include "sidecar/cli/commands.hpp"
#include "sidecar/cli/restored_node.hpp"
#include "sidecar/engine/interrupt.hpp"
#include "sidecar/repository/repository.hpp"

#include <algorithm>
#include <chrono>

namespace hot_backup {
namespace {

struct Restored {
    RestoredNode node;
    std::string backup;
    double seconds = 0;
};

Restored restore(const Repository& repository, const std::string& id, const Path& target,
                 const Arguments& arguments, Output& output) {
    RestoreOptions options;
    options.target = target;
    options.force = arguments.force;
    options.salvage = arguments.salvage;
    options.owner = arguments.owner;
    RestoreCallbacks callbacks;
    callbacks.interrupt = throw_if_interrupted;
    callbacks.progress = [&](std::uint64_t done, std::uint64_t total) {
        output.progress("restore " + id, done, total);
    };
    const auto start = std::chrono::steady_clock::now();
    auto node = restore_node(repository, id, options, callbacks);
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
    return {std::move(node), id, time.count()};
}

void throw_if_lost(std::size_t files) {
    if (files > 0) {
        throw Error(ErrorCode::damaged,
                    "the backup is damaged: " + plural(files, "file is", "files are") +
                        " missing in the restored node, or cut off",
                    "See which are listed as lost; another backup may have them whole.");
    }
}

ExitCode restore_one(const Repository& repository, const std::string& id,
                     const Arguments& arguments, Output& output) {
    const auto restored = restore(repository, id, arguments.target_dir, arguments, output);
    print(restored.node, id, restored.seconds, output);
    output.summary(to_json(restored.node, id, restored.seconds));
    throw_if_lost(restored.node.lost.size());
    return exit_done;
}

// Where a part is that is not in this repository.
std::string place_of(const ClusterPart& part) {
    return printable(part.node) + " in " + printable(part.path) + " on " + printable(part.host);
}

struct Parts {
    std::vector<ClusterPart> here;
    std::vector<ClusterPart> elsewhere;
};

Parts find_parts(const Repository& repository, const std::string& cluster,
                 const ClusterManifest& manifest, Output& output) {
    Parts parts;
    std::string elsewhere;
    for (const auto& part : manifest.parts) {
        if (repository.has_part(part)) {
            parts.here.push_back(part);
        } else if (part.repository == repository.id()) {
            throw Error(ErrorCode::damaged,
                        "the part of " + printable(part.node) + " in cluster backup " + cluster +
                            " is not in this repository any more",
                        "Restore another backup; or one node's part: --part NODE.");
        } else {
            parts.elsewhere.push_back(part);
            elsewhere += (elsewhere.empty() ? "" : "; ") + place_of(part);
        }
    }
    if (parts.here.empty()) {
        throw Error(ErrorCode::not_found,
                    "no part of cluster backup " + cluster + " is in this repository",
                    "Restore each where it is: " + elsewhere + ".");
    }
    if (!elsewhere.empty()) {
        output.line("Not in this repository, to be restored where they are: " + elsewhere + ".");
    }
    return parts;
}

// A manifest that somebody else has written must not lead out of the target.
Path target_of(const Path& base, const std::string& node) {
    if (node.empty() || node == "." || node == ".." || node.find('/') != std::string::npos) {
        throw Error(ErrorCode::damaged, "\"" + printable(node) + "\" is no name of a node",
                    "Restore another backup, or one node's part into a directory of your choice: "
                    "--part NODE.");
    }
    return base / node;
}

// Each part becomes TARGET/NODE.
ExitCode restore_cluster(const Repository& repository, const std::string& cluster,
                         const Arguments& arguments, Output& output) {
    const auto manifest = repository.read_cluster(cluster);
    const auto parts = find_parts(repository, cluster, manifest, output);
    const Path base = arguments.target_dir;
    std::error_code error;
    std::filesystem::create_directory(base, error);
    if (error) {
        throw Error(ErrorCode::failed,
                    "cannot make directory " + printable(base.string()) + ": " + error.message(),
                    "Name a directory below one that exists and may be written.");
    }
    OrderedJson json{{"backup", cluster}, {"kind", "cluster"}};
    json["parts"] = OrderedJson::array();
    std::size_t lost = 0;
    for (const auto& part : parts.here) {
        const auto restored =
            restore(repository, part.backup, target_of(base, part.node), arguments, output);
        print(restored.node, part.backup, restored.seconds, output);
        output.line("");
        json["parts"].push_back(to_json(restored.node, part.backup, restored.seconds));
        lost += restored.node.lost.size();
    }
    json["elsewhere"] = OrderedJson::array();
    for (const auto& part : parts.elsewhere) {
        json["elsewhere"].push_back(
            {{"node", part.node}, {"path", part.path}, {"host", part.host}});
    }
    output.line("Start all nodes of the cluster at the same time: each waits for the others.");
    for (const auto& missing : manifest.missing) {
        output.warning(printable(missing.node) +
                       " is not in the backup: start one node with rabbitmqctl force_boot, then "
                       "take it out of the cluster with rabbitmqctl forget_cluster_node");
    }
    output.summary(std::move(json));
    throw_if_lost(lost);
    return exit_done;
}

std::string part_of(const Repository& repository, const std::string& cluster,
                    const std::string& node) {
    const auto manifest = repository.read_cluster(cluster);
    const auto part = std::ranges::find(manifest.parts, node, &ClusterPart::node);
    if (part == manifest.parts.end()) {
        std::string nodes;
        for (const auto& known : manifest.parts) {
            nodes += (nodes.empty() ? "" : ", ") + printable(known.node);
        }
        throw Error(ErrorCode::usage,
                    "cluster backup " + cluster + " has no part of " + printable(node),
                    "It has those of " + nodes + ".");
    }
    if (!repository.has_part(*part)) {
        throw Error(ErrorCode::not_found,
                    "the part of " + printable(node) + " is not in this repository",
                    "Restore it where it is: " + place_of(*part) + ".");
    }
    return part->backup;
}

}  // namespace

ExitCode restore_command(const Arguments& arguments, Output& output) {
    const auto repository = Repository::open(posix_file_system(), arguments.repository);
    const auto id = choose_backup(repository, arguments.backups.front(), output);
    if (!repository.has_cluster(id)) {
        if (!arguments.cluster.part.empty()) {
            throw Error(ErrorCode::usage, "backup " + id + " is of one node, and has no parts",
                        "Leave out --part.");
        }
        return restore_one(repository, id, arguments, output);
    }
    if (!arguments.cluster.part.empty()) {
        return restore_one(repository, part_of(repository, id, arguments.cluster.part), arguments,
                           output);
    }
    return restore_cluster(repository, id, arguments, output);
}

}  // namespace hot_backup
