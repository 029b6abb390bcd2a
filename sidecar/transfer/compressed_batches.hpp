// Messages of a stream that no consumer over AMQP gets: a client of the stream protocol may write
// several of them as one compressed batch, which RabbitMQ keeps as it is. Up to 3.13 such a batch
// ends the channel of an AMQP consumer, later releases pass over it in silence; batches that are
// not compressed are given out message by message.
#pragma once

#include "sidecar/repository/file_system.hpp"

#include <cstdint>
#include <optional>

namespace hot_backup {

struct CompressedBatches {
    std::uint64_t messages = 0;
    std::uint64_t first_offset = 0;
};

// What there is of them in the files of the stream in this directory; nothing when there is none.
// Reads all segments. The stream may be in use; what is written meanwhile is not looked at.
std::optional<CompressedBatches> find_compressed_batches(const Path& stream);

}  // namespace hot_backup
