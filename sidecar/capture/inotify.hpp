// The kernel's reports of changes in directories (inotify), and nothing of what they mean.
#pragma once

#include "sidecar/repository/descriptor.hpp"

#include <sys/inotify.h>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace hot_backup {

class Inotify {
public:
    // The watch of a directory that the kernel gives none for.
    static constexpr int none = -1;

    // Without `use`, and where the kernel gives no instance, it watches nothing.
    explicit Inotify(bool use);

    // Watches the names in a directory, and the directory's own attributes; `extra` is more to
    // watch it for. The same directory has the same watch, whatever path leads to it. `none` also
    // when there is no such directory.
    int watch(const std::string& path, std::uint32_t extra);
    void unwatch(int watch) noexcept;

    using Handler = std::function<void(const inotify_event& event)>;
    // Hands over all that was reported up to now. What the handler throws ends it, and the reports
    // read along with that one are lost.
    void drain(const Handler& handler);
    // Reads what was reported up to now, for the next drain(), so that the kernel's queue does not
    // run over while nothing can be handled.
    void keep();

private:
    std::size_t pending() const;
    std::size_t read(std::span<char> buffer) const;

    Descriptor descriptor_;
    std::vector<char> kept_;
};

}  // namespace hot_backup
