#include "sidecar/capture/inotify.hpp"

#include "sidecar/capture/node_file.hpp"

#include <sys/ioctl.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <utility>

namespace hot_backup {
namespace {

constexpr std::uint32_t changes =
    IN_MODIFY | IN_ATTRIB | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO;

constexpr std::size_t read_size = std::size_t{64} << 10;
constexpr std::size_t most_kept = std::size_t{64} << 20;

void hand_over(std::span<const char> reports, const Inotify::Handler& handler) {
    while (!reports.empty()) {
        const auto& event = *reinterpret_cast<const inotify_event*>(reports.data());
        handler(event);
        reports = reports.subspan(sizeof(inotify_event) + event.len);
    }
}

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

std::size_t Inotify::pending() const {
    int bytes = 0;
    if (descriptor_ && ::ioctl(descriptor_.number(), FIONREAD, &bytes) < 0) {
        throw_read_error("read the reports of", "inotify", errno);
    }
    return static_cast<std::size_t>(bytes);
}

// Whole reports; none when there are none.
std::size_t Inotify::read(std::span<char> buffer) const {
    for (;;) {
        const ssize_t size = ::read(descriptor_.number(), buffer.data(), buffer.size());
        if (size >= 0) {
            return static_cast<std::size_t>(size);
        }
        if (errno == EAGAIN) {
            return 0;
        }
        if (errno != EINTR) {
            throw_read_error("read the reports of", "inotify", errno);
        }
    }
}

void Inotify::drain(const Handler& handler) {
    hand_over(std::exchange(kept_, {}), handler);
    alignas(inotify_event) std::array<char, read_size> buffer;
    // No more than that: a busy node reports as fast as this reads, and it would never end.
    for (std::size_t left = pending(); left > 0;) {
        const std::size_t size = read(buffer);
        hand_over(std::span(buffer).first(size), handler);
        left -= size == 0 ? left : std::min(left, size);
    }
}

void Inotify::keep() {
    // What is more than that stays with the kernel, which says so when its queue runs over.
    for (std::size_t left = pending(); left > 0 && kept_.size() < most_kept;) {
        const std::size_t before = kept_.size();
        kept_.resize(before + read_size);
        const std::size_t size = read(std::span(kept_).subspan(before));
        kept_.resize(before + size);
        left -= size == 0 ? left : std::min(left, size);
    }
}

}  // namespace hot_backup
