#include "tests/harness/port.hpp"

#include "tests/harness/process.hpp"
#include "tests/harness/wait.hpp"

#include <catch2/catch.hpp>

#include <list>
#include <set>

using namespace harness;
using namespace std::chrono_literals;

TEST_CASE("ports that are held are all different") {
    std::list<Port> ports(200);
    std::set<std::uint16_t> numbers;
    for (const Port& port : ports) {
        numbers.insert(port.number());
    }
    CHECK(numbers.size() == ports.size());
}

TEST_CASE("a port on which somebody listens is left alone") {
    std::uint16_t taken = 0;
    {
        const Port port;
        taken = port.number();
    }
    CHECK_FALSE(accepts_connections(taken));
    const Process epmd("epmd", {"-port", std::to_string(taken), "-address", "127.0.0.1"});
    wait_for("epmd", 10s, [&] { return accepts_connections(taken); });
    const Port next;
    CHECK(next.number() != taken);
}
