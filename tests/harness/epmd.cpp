#include "tests/harness/epmd.hpp"

#include "tests/harness/wait.hpp"

#include <cstdlib>
#include <string_view>

namespace harness {

using namespace std::chrono_literals;

namespace {

constexpr std::uint16_t usual_port = 4369;

}  // namespace

Epmd::Epmd()
    : claim_(std::in_place),
      port_(std::to_string(claim_->number())),
      process_("epmd", {"-port", port_, "-address", "127.0.0.1"}) {
    wait_for("epmd", 10s, [this] { return accepts_connections(claim_->number()); });
}

Epmd::Epmd(const NetworkHost& host)
    : port_(std::to_string(usual_port)),
      process_("epmd", {"-port", port_}, {.launcher = host.launcher()}) {
    const Visit visit(&host);
    wait_for("epmd", 10s, [] { return accepts_connections(usual_port); });
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
