#include "sidecar/engine/oom_score.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <string_view>

namespace hot_backup {

void offer_to_oom_killer() noexcept {
    // Of 1000: before anything that did not ask for the same. Raising it needs no privilege
    // (proc(5), /proc/[pid]/oom_score_adj).
    constexpr std::string_view score = "900";
    const int file = ::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (file >= 0) {
        [[maybe_unused]] const auto written = ::write(file, score.data(), score.size());
        ::close(file);
    }
}

}  // namespace hot_backup
