#include "tests/harness/epmd.hpp"

#include "tests/harness/wait.hpp"

#include <cstdlib>
#include <string_view>

namespace harness {

using namespace std::chrono_literals;

Epmd::Epmd() : process_("epmd", {"-port", port(), "-address", "127.0.0.1"}) {
    wait_for("epmd", 10s, [this] { return accepts_connections(port_.number()); });
}

void Epmd::select() const {
    const char* selected = std::getenv("ERL_EPMD_PORT");
    if (selected == nullptr || selected != port()) {
        setenv("ERL_EPMD_PORT", port().c_str(), 1);
    }
}

std::shared_ptr<const Epmd> shared_epmd() {
    static const auto instance = std::make_shared<const Epmd>();
    return instance;
}

}  // namespace harness
