#include "erlang_port/frame.hpp"

#include "erlang_port/external_bytes.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

namespace erlang {
namespace {

using hot_backup::Error;
using hot_backup::ErrorCode;

constexpr std::size_t header_length = 4;
// A read asks for what a pipe holds, so memory grows with what has come and not with what was
// announced.
constexpr std::size_t read_step = 64UL * 1024;
// A buffer that one huge frame has made larger than this is not kept for the small ones after it.
constexpr std::size_t kept_capacity = 4UL * 1024 * 1024;

constexpr const char* other_side_hint =
    "It may have stopped, or the plugin was disabled or ended the session: look into its log.";
constexpr const char* long_message_hint =
    "Check that the plugin and this program come from the same release; if they do, report this "
    "as a defect.";
constexpr const char* system_hint =
    "Check the memory and the open files of this system, then try again.";

std::string reason(int error) {
    return std::strerror(error);
}

// What poll() takes: whole milliseconds, rounded up so that the deadline has passed afterwards.
int milliseconds_until(Clock::time_point deadline) {
    const auto now = Clock::now();
    if (deadline <= now) {
        return 0;
    }
    const std::int64_t left = std::chrono::ceil<std::chrono::milliseconds>(deadline - now).count();
    return static_cast<int>(std::min<std::int64_t>(left, std::numeric_limits<int>::max()));
}

enum class Wait { ready, timeout, interrupted };

Wait wait_for(int fd, short events, Clock::time_point deadline) {
    pollfd polled{fd, events, 0};
    const int count = ::poll(&polled, 1, milliseconds_until(deadline));
    if (count > 0) {
        return Wait::ready;
    }
    if (count == 0) {
        return Wait::timeout;
    }
    if (errno == EINTR) {
        return Wait::interrupted;
    }
    throw Error(ErrorCode::failed, "cannot wait for a connection: " + reason(errno), system_hint);
}

}  // namespace

NonBlocking::NonBlocking(int fd) : fd_(fd), flags_(::fcntl(fd, F_GETFL)) {
    if (flags_ < 0 || ::fcntl(fd, F_SETFL, flags_ | O_NONBLOCK) < 0) {
        throw Error(ErrorCode::failed,
                    "cannot use file descriptor " + std::to_string(fd) + ": " + reason(errno),
                    "The plugin starts this program with pipes on its standard input and output: "
                    "do not start it by hand in this mode.");
    }
}

NonBlocking::~NonBlocking() {
    ::fcntl(fd_, F_SETFL, flags_);
}

Frames::Frames(int read_fd, int write_fd, std::string peer, std::size_t cap)
    : read_non_blocking_(read_fd),
      write_non_blocking_(write_fd),
      read_fd_(read_fd),
      write_fd_(write_fd),
      peer_(std::move(peer)),
      cap_(cap) {}

Frames::Status Frames::read(Clock::time_point deadline) {
    throw_if_broken();
    if (frame_returned_) {
        header_.clear();
        body_.clear();
        if (body_.capacity() > kept_capacity) {
            body_.shrink_to_fit();
        }
        frame_returned_ = false;
    }
    while (!read_closed_) {
        const bool in_header = header_.size() < header_length;
        switch (in_header ? fill(header_, header_length) : fill(body_, length_)) {
            case Progress::done:
                if (!in_header) {
                    frame_returned_ = true;
                    return Status::frame;
                }
                check_length();
                break;
            case Progress::would_block:
                if (wait_for(read_fd_, POLLIN, deadline) != Wait::ready) {
                    return Status::timeout;
                }
                break;
            case Progress::end:
                if (!header_.empty()) {
                    fail(peer_ + " closed the connection in the middle of a message",
                         other_side_hint);
                }
                read_closed_ = true;
        }
    }
    return Status::closed;
}

Frames::Progress Frames::fill(std::string& buffer, std::size_t goal) {
    while (buffer.size() < goal) {
        const auto have = buffer.size();
        const auto step = std::min(goal - have, read_step);
        buffer.resize(have + step);
        const auto got = ::read(read_fd_, buffer.data() + have, step);
        buffer.resize(have + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
        if (got > 0 || (got < 0 && errno == EINTR)) {
            continue;
        }
        if (got == 0 || errno == ECONNRESET || errno == EPIPE) {
            return Progress::end;
        }
        if (errno == EAGAIN) {
            return Progress::would_block;
        }
        fail("cannot read from " + peer_ + ": " + reason(errno), other_side_hint);
    }
    return Progress::done;
}

void Frames::check_length() {
    length_ = big_endian<header_length>(header_.data());
    if (length_ > cap_) {
        fail(peer_ + " sent a message of " + std::to_string(length_) +
                 " bytes, which is more than the " + std::to_string(cap_) + " allowed",
             long_message_hint);
    }
}

void Frames::fail(const std::string& message, const char* hint) {
    broken_.emplace(ErrorCode::failed, message, hint);
    throw Error(*broken_);
}

void Frames::throw_if_broken() const {
    if (broken_) {
        throw Error(*broken_);
    }
}

void Frames::write(std::string_view body, Clock::time_point deadline) {
    throw_if_broken();
    if (body.size() > cap_) {
        throw Error(ErrorCode::failed,
                    "a message of " + std::to_string(body.size()) +
                        " bytes is too long to be sent to " + peer_,
                    long_message_hint);
    }
    std::string bytes;
    bytes.reserve(header_length + body.size());
    for (int shift = 24; shift >= 0; shift -= 8) {
        bytes.push_back(static_cast<char>((body.size() >> shift) & 0xff));
    }
    bytes += body;
    write_all(bytes, deadline);
}

void Frames::write_all(std::string_view bytes, Clock::time_point deadline) {
    while (!bytes.empty() && !write_closed_) {
        const auto written = ::write(write_fd_, bytes.data(), bytes.size());
        if (written >= 0) {
            bytes.remove_prefix(static_cast<std::size_t>(written));
        } else if (errno == EAGAIN) {
            if (wait_for(write_fd_, POLLOUT, deadline) == Wait::timeout) {
                // Half a frame may be out: whatever came next would be misread.
                fail(peer_ + " does not read what it is sent",
                     "It may be overloaded or stopped: look at its load and its log.");
            }
        } else if (errno != EINTR) {
            if (errno != EPIPE && errno != ECONNRESET) {
                fail("cannot write to " + peer_ + ": " + reason(errno), other_side_hint);
            }
            write_closed_ = true;
        }
    }
    if (write_closed_) {
        throw Error(ErrorCode::failed, peer_ + " closed the connection", other_side_hint);
    }
}

}  // namespace erlang
