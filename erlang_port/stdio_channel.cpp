#include "erlang_port/stdio_channel.hpp"

#include "erlang_port/external_term.hpp"

namespace erlang {

StdioChannel::StdioChannel(int read_fd, int write_fd) : frames_(read_fd, write_fd, "the broker") {}

void StdioChannel::send(const Term& message, Clock::time_point deadline) {
    std::string bytes;
    encode_message(message, bytes);
    frames_.write(bytes, deadline);
}

Channel::Received StdioChannel::receive(Clock::time_point deadline) {
    switch (frames_.read(deadline)) {
        case Frames::Status::frame:
            return {Received::What::message, decode_message(frames_.frame())};
        case Frames::Status::closed:
            return {Received::What::closed, {}};
        case Frames::Status::timeout:
            break;
    }
    return {};
}

}  // namespace erlang
