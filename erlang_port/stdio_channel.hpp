// The channel of a port program: {packet, 4} on standard input and standard output.
#pragma once

#include "erlang_port/channel.hpp"
#include "erlang_port/frame.hpp"

namespace erlang {

class StdioChannel final : public Channel {
public:
    // Reads from and writes to these descriptors, without owning them. They are non-blocking while
    // the channel lives.
    explicit StdioChannel(int read_fd = 0, int write_fd = 1);

    void send(const Term& message, Clock::time_point deadline) override;
    Received receive(Clock::time_point deadline) override;

private:
    Frames frames_;
};

}  // namespace erlang
