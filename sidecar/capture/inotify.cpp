#include "sidecar/capture/inotify.hpp"

#include "sidecar/capture/node_file.hpp"

#include <sys/ioctl.h>
#include <array>
#include <cerrno>
#include <cstddef>

namespace hot_backup {
namespace {

constexpr std::uint32_t changes =
    IN_MODIFY | IN_ATTRIB | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO;

}  // namespace

Inotify::Inotify(bool use) : descriptor_(use ? ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC) : -1) {}

int Inotify::watch(const std::string& path, std::uint32_t extra) {
    if (!descriptor_) {
        return none;
    }
    return ::inotify_add_watch(descriptor_.number(), path.c_str(),
                               changes | extra | IN_ONLYDIR | IN_DONT_FOLLOW);
}

void Inotify::unwatch(int watch) noexcept {
    // It fails when the directory is deleted: then the kernel has done it.
    ::inotify_rm_watch(descriptor_.number(), watch);
}

void Inotify::drain(const Handler& handler) {
    if (!descriptor_) {
        return;
    }
    // No more than that: a busy node reports as fast as this reads, and it would never end.
    int pending = 0;
    if (::ioctl(descriptor_.number(), FIONREAD, &pending) < 0) {
        throw_read_error("read the reports of", "inotify", errno);
    }
    alignas(inotify_event) std::array<char, 64 * 1024> buffer;
    while (pending > 0) {
        const ssize_t size = ::read(descriptor_.number(), buffer.data(), buffer.size());
        if (size < 0 && errno == EINTR) {
            continue;
        }
        if (size < 0 && errno != EAGAIN) {
            throw_read_error("read the reports of", "inotify", errno);
        }
        if (size <= 0) {
            return;
        }
        pending -= static_cast<int>(size);
        for (const char *at = buffer.data(), *end = at + size; at < end;) {
            const auto& event = *reinterpret_cast<const inotify_event*>(at);
            handler(event);
            at += sizeof(inotify_event) + event.len;
        }
    }
}

}  // namespace hot_backup
