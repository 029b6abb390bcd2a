// Frames over file descriptors: `Length:32` big-endian, then that many bytes. Erlang's {packet, 4}
// and the distribution protocol of connected nodes are both this.
//
// This is the one module that reads and writes the descriptors of a channel: partial reads and
// writes, EINTR, deadlines, the size cap and the difference between an end of file between two
// frames and one inside a frame live here.
//
// SIGPIPE: a pipe has no way to ask for an error instead of the signal, so main() ignores it;
// Frames then sees EPIPE and reports a closed connection.
#pragma once

#include "erlang_port/channel.hpp"
#include "erlang_port/error.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace erlang {

// The longest message of docs/protocol.md.
inline constexpr std::size_t max_message = 160UL * 1024 * 1024;

// Sets O_NONBLOCK and puts the flags back at the end: another program may share the descriptor.
class NonBlocking {
public:
    explicit NonBlocking(int fd);
    ~NonBlocking();
    NonBlocking(const NonBlocking&) = delete;
    NonBlocking& operator=(const NonBlocking&) = delete;

private:
    int fd_;
    int flags_;
};

// Not thread-safe. The descriptors stay the caller's; they may be one and the same.
class Frames {
public:
    enum class Status { frame, timeout, closed };

    // `peer` names the other side in errors ("the broker"); a longer frame than `cap` is an error.
    Frames(int read_fd, int write_fd, std::string peer, std::size_t cap = max_message);

    // Reads the next frame. What has come of it when the deadline passes or a signal handler runs
    // (both `timeout`) is kept for the next call. Throws Error (failed) when a frame is longer
    // than the cap or ends early; every later read and write throws the same Error.
    Status read(Clock::time_point deadline);
    // The frame that read() has just returned; valid until the next call of it.
    std::string_view frame() const noexcept { return body_; }

    // Writes one frame. Throws Error (failed) when the other side has closed the connection, after
    // which read() still gives what it sent before; and when it does not take all of the frame
    // until the deadline, after which every read and write throws the same Error.
    void write(std::string_view body, Clock::time_point deadline);

private:
    enum class Progress { done, would_block, end };

    Progress fill(std::string& buffer, std::size_t goal);
    void check_length();
    [[noreturn]] void fail(const std::string& message, const char* hint);
    void throw_if_broken() const;
    void write_all(std::string_view bytes, Clock::time_point deadline);

    NonBlocking read_non_blocking_;
    NonBlocking write_non_blocking_;
    int read_fd_;
    int write_fd_;
    std::string peer_;
    std::size_t cap_;
    std::string header_;
    std::string body_;
    std::size_t length_ = 0;  // of the body, once the header is complete
    bool frame_returned_ = false;
    bool read_closed_ = false;
    bool write_closed_ = false;
    std::optional<hot_backup::Error> broken_;  // the frames are no longer aligned
};

}  // namespace erlang
