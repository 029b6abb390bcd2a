// The metadata of a running broker, as the definitions layer reads it.
#pragma once

#include "sidecar/definitions/snapshot_source.hpp"
#include "sidecar/engine/broker.hpp"

#include <string>

namespace hot_backup {

// Read once, by a checkpoint, and then held in memory as a whole.
class BrokerSnapshot final : public SnapshotSource {
public:
    // Errors as of Broker.
    explicit BrokerSnapshot(Broker& broker);

    void rewind() override { handed_out_ = content_.empty(); }
    std::optional<std::string_view> next() override;

private:
    std::string content_;
    bool handed_out_ = false;
};

}  // namespace hot_backup
