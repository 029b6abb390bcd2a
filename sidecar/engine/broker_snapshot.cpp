#include "sidecar/engine/broker_snapshot.hpp"

#include "sidecar/definitions/snapshot_reader.hpp"

#include <utility>

namespace hot_backup {

BrokerSnapshot::BrokerSnapshot(Broker& broker) {
    broker.begin_checkpoint();
    broker.stream_checkpoint([this](std::string_view payload) {
        content_ += chunk_header(payload);
        content_ += payload;
    });
    broker.end_checkpoint();
}

std::optional<std::string_view> BrokerSnapshot::next() {
    return std::exchange(handed_out_, true) ? std::nullopt
                                            : std::optional<std::string_view>(content_);
}

}  // namespace hot_backup
