#include "sidecar/engine/part.hpp"

#include "sidecar/engine/affected_queues.hpp"
#include "sidecar/engine/cluster.hpp"
#include "sidecar/engine/stored_snapshot.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>

namespace hot_backup {
namespace {

using namespace std::chrono_literals;

// More than the plugin takes to say no.
constexpr auto readiness = 15s;
// The slowest node may have much to store; the plugin gives up long before.
constexpr auto all_prepared = 24h;
constexpr auto publication = 60s;

std::string host_name() {
    std::array<char, 256> name{};
    return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "unknown";
}

bool is_named(const ClusterManifest& manifest, const BackupWriter& writer) {
    return std::ranges::any_of(manifest.parts, [&](const ClusterPart& part) {
        return part.backup == writer.id() && part.manifest_digest == writer.published().digest;
    });
}

// Of the part that has the metadata of all.
std::vector<AffectedQueue> find_affected(const Repository& repository, const std::string& backup,
                                         const std::vector<std::string>& missing) {
    StoredSnapshot stored(repository, backup);
    Snapshot snapshot(stored, SnapshotIndex::scan(stored));
    return affected_queues(snapshot, missing);
}

// Whether the manifest of the whole may be seen by others. A disk that does not say may have it.
bool is_visible(const Repository& repository, const std::string& cluster_backup,
                const BackupWriter& writer) {
    try {
        return repository.has_cluster(cluster_backup) &&
               is_named(repository.read_cluster(cluster_backup), writer);
    } catch (const Error&) {
        return true;
    }
}

}  // namespace

Readiness Part::ready(const Remainder& left) {
    const auto answer = broker_.call(
        "part_ready",
        make_map({{"job", erlang::integer(job_)},
                  {"dirty_files", erlang::integer(left.files)},
                  {"dirty_bytes", erlang::integer(left.memory_bytes + left.tail_bytes)}}),
        readiness);
    const MapFields fields("answer to part_ready", answer);
    return {fields.atom("go") == "true", fields.atom("lock") == "true"};
}

erlang::Map Part::tell_prepared(const Repository& repository, const BackupWriter& writer,
                                const Summary& summary, std::vector<std::string> warnings) {
    const auto& published = writer.published();
    std::vector<AffectedQueue> affected;
    if (has_metadata(summary) && !order_.missing.empty()) {
        try {
            affected = find_affected(repository, writer.id(), order_.missing);
        } catch (const Error& error) {
            // No reason to have no backup.
            warnings.push_back("it is not known which queues the missing nodes matter for: " +
                               std::string(error.what()));
        }
    }
    return broker_.call("part_prepared",
                        make_map({{"job", erlang::integer(job_)},
                                  {"node", erlang::binary(summary.part->node)},
                                  {"backup", erlang::binary(writer.id())},
                                  {"repository", erlang::binary(repository.id())},
                                  {"path", erlang::binary(repository.directory().string())},
                                  {"host", erlang::binary(host_name())},
                                  {"manifest_xxh3_128", erlang::binary(published.digest.hex())},
                                  {"manifest_bytes", erlang::integer(published.bytes)},
                                  {"summary", erlang::binary(summary_text(summary))},
                                  {"affected", to_term(affected)},
                                  {"warnings", binaries(warnings)}}),
                        all_prepared);
}

void Part::publish(const Repository& repository, const Lock& lock, BackupWriter& writer,
                   const MapFields& parts) {
    std::string text;
    try {
        text = to_text(compose(parts, order_), order_.cluster_backup);
        repository.publish_cluster(lock, order_.cluster_backup, text);
    } catch (const Error&) {
        if (is_visible(repository, order_.cluster_backup, writer)) {
            // If not durable yet: the others must not take it for failed.
            tell_published(text);
        } else {
            writer.withdraw();
        }
        throw;
    }
    tell_published(text);
}

void Part::tell_published(const std::string& text) {
    try {
        broker_.call("cluster_published",
                     make_map({{"job", erlang::integer(job_)}, {"manifest", erlang::binary(text)}}),
                     publication);
    } catch (const Error&) {
        // The backup exists all the same. The parts of the others stay in doubt.
    }
}

void Part::conclude(const Repository& repository, const Lock& lock, BackupWriter& writer,
                    const Summary& summary, const std::vector<std::string>& warnings) {
    const auto answer = tell_prepared(repository, writer, summary, warnings);
    const MapFields fields("answer to part_prepared", answer);
    if (fields.find("abandoned")) {
        writer.withdraw();
        throw error_of(answer, "abandoned");
    }
    if (fields.find("in_doubt")) {
        throw Error(
            ErrorCode::failed,
            order_.coordinator + " was lost when it may have published the cluster backup " +
                order_.cluster_backup,
            "Where the repository of that node lists it, copy clusters/" + order_.cluster_backup +
                ".cluster from there; else delete it here: rabbitmq-hot-backup delete " +
                order_.cluster_backup + ".");
    }
    if (fields.find("publish")) {
        publish(repository, lock, writer, fields.object("publish"));
        return;
    }
    const auto text = fields.text("manifest");
    const auto manifest = parse_cluster_manifest(text, order_.cluster_backup,
                                                 "the manifest of " + order_.coordinator);
    if (!is_named(manifest, writer)) {
        throw Error(ErrorCode::failed,
                    "the manifest of cluster backup " + order_.cluster_backup +
                        " does not name part " + writer.id(),
                    "Please report this with the logs of all nodes.");
    }
    repository.publish_cluster(lock, order_.cluster_backup, text);
}

}  // namespace hot_backup
