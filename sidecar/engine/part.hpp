// This node's part in the backup of a whole cluster: what the engine agrees upon with the other
// nodes, through the plugin. docs/protocol.md, "Parts".
//
// The plugin decides when all nodes are stopped and whether that was at one moment. The
// coordinator's engine writes the manifest of the whole, the others copy it: until then no part is
// a backup.
#pragma once

#include "sidecar/engine/broker.hpp"
#include "sidecar/engine/fields.hpp"
#include "sidecar/engine/image.hpp"
#include "sidecar/repository/backup_writer.hpp"
#include "sidecar/repository/cluster_manifest.hpp"

#include <string>

namespace hot_backup {

class Part {
public:
    Part(Broker& broker, PartOrder order, std::uint64_t job)
        : broker_(broker), order_(std::move(order)), job_(job) {}

    const PartOrder& order() const noexcept { return order_; }

    // Whether all nodes are as far. Waits for two seconds at the most.
    Readiness ready(const Remainder& left);

    // Tells that the part is durable, waits until every other one is, and puts the manifest of the
    // cluster backup beside it. Error: the cluster backup failed, and the part is withdrawn; but
    // where the plugin is lost nobody here knows, and it stays in doubt.
    // `warnings` are for whoever has asked for the cluster backup.
    void conclude(const Repository& repository, const Lock& lock, BackupWriter& writer,
                  const Summary& summary, const std::vector<std::string>& warnings);

private:
    // Says that the part is durable; the plugin's answer, once all are.
    erlang::Map tell_prepared(const Repository& repository, const BackupWriter& writer,
                              const Summary& summary, std::vector<std::string> warnings);
    // The coordinator's: once the manifest of the whole is visible, all parts are a backup.
    void publish(const Repository& repository, const Lock& lock, BackupWriter& writer,
                 const MapFields& parts);
    void tell_published(const std::string& text);

    Broker& broker_;
    PartOrder order_;
    std::uint64_t job_;
};

}  // namespace hot_backup
