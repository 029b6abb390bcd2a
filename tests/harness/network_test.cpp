#include "tests/harness/network.hpp"
#include "tests/harness/datagrams.hpp"
#include "tests/harness/port.hpp"
#include "tests/harness/process.hpp"
#include "tests/harness/temp_dir.hpp"
#include "tests/harness/wait.hpp"

#include "erlang_port/error.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <csignal>
#include <iostream>
#include <set>
#include <sstream>

using namespace harness;
using namespace std::chrono_literals;

namespace {

bool is_reached(const Network& network, std::size_t from, std::size_t to) {
    return count_arrivals(network.host(from), network.host(to), 1) == 1;
}

std::set<std::string> interfaces(const std::vector<std::string>& launcher) {
    std::set<std::string> names;
    std::istringstream lines(run("cat", {"/proc/net/dev"}, {.launcher = launcher}).output);
    for (std::string line; std::getline(lines, line);) {
        if (const auto colon = line.find(':'); colon != std::string::npos) {
            const auto begin = line.find_first_not_of(' ');
            names.insert(line.substr(begin, colon - begin));
        }
    }
    return names;
}

}  // namespace

TEST_CASE("a network delays what crosses it") {
    Network network(2);
    for (const auto delay : {0us, 100us, 1000us, 20'000us}) {
        network.set_one_way_delay(delay);
        const auto round_trip = measure_round_trip(network.host(0), network.host(1), 100);
        std::cout << "a delay of " << delay.count() << " us each way: there and back in "
                  << round_trip.count() << " us" << std::endl;
        CHECK(round_trip >= 2 * delay);
        // Of a machine that has nothing else to do the median is nearer by far.
        CHECK(round_trip < 2 * delay + 5ms);
    }
    CHECK(measure_round_trip(network.host(1), network.host(1), 100) < 5ms);
}

TEST_CASE("a network loses as much as it is told") {
    Network network(2);
    constexpr int count = 1000;
    CHECK(count_arrivals(network.host(0), network.host(1), count) == count);
    network.set_loss(0.3);
    const int arrived = count_arrivals(network.host(0), network.host(1), count);
    CHECK(arrived > 600);
    CHECK(arrived < 800);
}

TEST_CASE("hosts of a network are kept apart") {
    Network network(3);
    network.block(0, 1);
    CHECK_FALSE(is_reached(network, 0, 1));
    CHECK(network.kept_back() == 1);
    CHECK(is_reached(network, 1, 0));
    network.isolate(2);
    CHECK_FALSE(is_reached(network, 2, 1));
    CHECK_FALSE(is_reached(network, 1, 2));
    CHECK(is_reached(network, 1, 0));
    network.heal();
    for (std::size_t from = 0; from < network.size(); ++from) {
        for (std::size_t to = 0; to < network.size(); ++to) {
            CHECK(is_reached(network, from, to));
        }
    }
}

TEST_CASE("a thread is back on the machine after its visit") {
    const Network network(1);
    const Port port;
    const Process server("epmd", {"-port", std::to_string(port.number())},
                         {.launcher = network.host(0).launcher()});
    wait_for("a server on the host", 10s, [&] {
        const Visit visit(&network.host(0));
        return accepts_connections(port.number());
    });
    CHECK_FALSE(accepts_connections(port.number()));
}

// What the next case kills.
TEST_CASE("a network with a program", "[.]") {
    const Network network(2);
    const Process program("sleep", {"600"}, {.launcher = network.host(0).launcher()});
    std::cout << "running" << std::endl;
    Process("sleep", {"600"}).wait(600s);
}

TEST_CASE("nothing is left of a network whose test is killed") {
    const auto before = interfaces({});
    const TempDir files;
    Process test("/proc/self/exe", {"a network with a program"},
                 {.environment = {{"TMPDIR", files.path()}}});
    wait_for("the network", 30s, [&] {
        return test.output().find("running") != std::string::npos &&
               descendants(test.pid()).size() == 2;
    });
    const auto programs = descendants(test.pid());
    // Of the host: nothing of the machine is in it.
    const auto program = programs.at(0);
    CHECK(interfaces({"nsenter", "--net=/proc/" + std::to_string(program) + "/ns/net", "--"}) ==
          std::set<std::string>{"lo", "net0"});
    test.signal(SIGKILL);
    test.wait();
    wait_for("the end of its programs", 10s, [&] {
        return std::ranges::all_of(programs, [](pid_t pid) { return program_name(pid).empty(); });
    });
    CHECK(interfaces({}) == before);
}
