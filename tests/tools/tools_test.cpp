#include "tests/tools/topology.hpp"
#include "tests/tools/traffic.hpp"

#include "tests/harness/wait.hpp"

#include <catch2/catch.hpp>

#include <algorithm>

using namespace harness;
using namespace std::chrono_literals;

namespace {

std::size_t lines(const std::string& text) {
    return static_cast<std::size_t>(std::ranges::count(text, '\n'));
}

}  // namespace

TEST_CASE("a topology of the wanted size, and traffic on it") {
    Broker broker({.hot_backup = false});
    const tools::Topology topology =
        tools::make_topology(broker, {.queues = 200, .bindings = 1000});
    std::size_t queues = 0;
    std::size_t bindings = 0;
    for (const std::string& vhost : topology.vhosts) {
        queues +=
            lines(broker.rabbitmqctl({"list_queues", "-p", vhost, "name", "--no-table-headers"}));
        bindings += lines(broker.rabbitmqctl(
            {"list_bindings", "-p", vhost, "source_kind", "--no-table-headers"}));
    }
    // A stream and its binding are among them.
    const std::size_t fixed_queues = 4 * (harness::has_streams() ? 9 : 8);
    const std::size_t fixed_bindings = 4 * (harness::has_streams() ? 8 : 7);
    CHECK(queues == 200 + fixed_queues);
    // Each queue is also bound to the default exchange.
    CHECK(bindings == 1000 + fixed_bindings + queues);
    CHECK(lines(broker.rabbitmqctl({"list_users", "--no-table-headers"})) == 23);

    tools::Traffic traffic(broker.amqp_port(), {.messages_per_second = 1000});
    wait_for("traffic", 20s, [&] { return traffic.confirmed() > 200 && traffic.consumed() > 100; });
    CHECK(traffic.failure().empty());
    broker.kill9();
    wait_for("the clients to notice", 20s, [&] { return !traffic.failure().empty(); });
    traffic.stop();
}
