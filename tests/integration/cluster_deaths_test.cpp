// A backup of a cluster of which a broker, a port program or the command is killed or stopped, at
// each step. Whatever it is: no other node stands still for longer than a stop may take, nothing of
// the backup stays in the nodes, there is one error or a whole backup, and the next one succeeds.
#include "tests/harness/cli.hpp"
#include "tests/harness/wait.hpp"
#include "tests/integration/network_cluster.hpp"
#include "tests/integration/support.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <csignal>
#include <thread>

using namespace harness;
using namespace integration;
using namespace std::chrono_literals;

namespace {

NetworkCluster& shared() {
    static NetworkCluster cluster({.engine = PART_ENGINE});
    return cluster;
}

pid_t port_program(const Broker& broker) {
    return wait_for("the port program", 30s, [&] {
        const auto programs = broker.port_programs();
        return programs.size() == 1 ? programs.front() : 0;
    });
}

// A process that is stopped while this lives.
class Stopped {
public:
    explicit Stopped(pid_t process) : process_(process) { kill(process_, SIGSTOP); }
    Stopped(const Stopped&) = delete;
    Stopped& operator=(const Stopped&) = delete;
    ~Stopped() { kill(process_, SIGCONT); }

private:
    pid_t process_;
};

void check_over(HaltedBackup& backup, const std::vector<std::size_t>& nodes) {
    shared().wait_until_idle(nodes);
    backup.check_pauses(nodes);
}

void wait_until_gone(const std::vector<pid_t>& programs) {
    wait_for("the end of the port programs", 30s, [&] {
        return std::ranges::all_of(programs,
                                   [](pid_t program) { return program_name(program).empty(); });
    });
}

void restart(Broker& broker) {
    broker.start();
    broker.await();
    shared().wait_until_whole();
}

// What the program of the node is to do within its stop.
void set_fault(const Broker& broker, int signal, pid_t process = 0) {
    write_file(broker.directory() / "home" / "fault",
               std::to_string(signal) + " " + std::to_string(process));
}

bool has_failed_in_stop(const Broker& broker) {
    return !std::filesystem::exists(broker.directory() / "home" / "fault");
}

constexpr Role roles[] = {Role::coordinator, Role::participant};

}  // namespace

TEST_CASE("a port program that is killed costs the backup at most") {
    constexpr Moment moments[] = {
        {Role::participant, "ready"},    {Role::coordinator, "ready"},
        {Role::participant, "armed"},    {Role::coordinator, "armed"},
        {Role::participant, "hold"},     {Role::coordinator, "hold"},
        {Role::participant, "held"},     {Role::coordinator, "held"},
        {Role::participant, "prepared"}, {Role::coordinator, "publish"},
        {Role::participant, "commit"},   {Role::coordinator, "published"},
    };
    std::size_t round = 0;
    for (const Moment& moment : moments) {
        INFO(moment);
        HaltedBackup backup(shared(), round++ % NetworkCluster::nodes, moment);
        kill(port_program(backup.victim_broker()), SIGKILL);
        backup.go_on();
        const bool is_there = backup.finish();
        const std::string step = moment.step;
        // A part that is prepared has all that a backup needs of it.
        if (step != "prepared") {
            CHECK(is_there == (step == "commit" || step == "published"));
        }
        check_over(backup, all_nodes());
        shared().check_next_backup();
    }
    shared().check_logged_pauses();
}

TEST_CASE("a port program that is stopped around the stop holds nobody") {
    constexpr Moment moments[] = {
        {Role::participant, "armed"}, {Role::coordinator, "armed"}, {Role::participant, "hold"},
        {Role::coordinator, "hold"},  {Role::participant, "held"},  {Role::coordinator, "held"},
    };
    std::size_t round = 0;
    for (const Moment& moment : moments) {
        INFO(moment);
        HaltedBackup backup(shared(), round++ % NetworkCluster::nodes, moment);
        {
            const StallTimeout soon(backup.victim_broker());
            const Stopped stopped(port_program(backup.victim_broker()));
            backup.go_on();
            CHECK_FALSE(backup.finish());
            check_over(backup, all_nodes());
        }
        shared().check_next_backup();
    }
}

TEST_CASE("a port program that hangs before the stop does not keep others from an end") {
    std::size_t round = 0;
    for (const Role role : roles) {
        const Moment moment{role, "ready"};
        INFO(moment);
        HaltedBackup backup(shared(), round++ % NetworkCluster::nodes, moment);
        {
            const Stopped stopped(port_program(backup.victim_broker()));
            backup.go_on();
            backup.create().signal(SIGINT);
            CHECK(backup.create().wait().exit_code == 130);
            CHECK_FALSE(backup.finish_without_create());
            check_over(backup, others(backup.victim()));
        }
        shared().wait_until_idle(all_nodes());
        shared().check_next_backup();
    }
}

TEST_CASE("a program or a node that fails within the stop holds nobody else") {
    std::size_t round = 0;
    for (const Role role : roles) {
        for (const bool is_node : {false, true}) {
            for (const int signal : {SIGKILL, SIGSTOP}) {
                const Moment stop{role, "stop"};
                INFO((is_node ? "node" : "program") << " of the " << stop << ": " << signal);
                HaltedBackup backup(shared(), round++ % NetworkCluster::nodes, {role, "armed"});
                Broker& victim = backup.victim_broker();
                const auto programs = victim.port_programs();
                const StallTimeout soon(victim);
                set_fault(victim, signal, is_node ? victim.pid() : 0);
                backup.go_on();
                wait_for("the fault", 30s, [&] { return has_failed_in_stop(victim); });
                const bool is_there = is_node && role == Role::coordinator
                                          ? backup.finish_without_create()
                                          : backup.finish();
                CHECK_FALSE(is_there);
                check_over(backup, is_node ? others(backup.victim()) : all_nodes());
                if (is_node) {
                    // Its own clock ends the stop of a node that goes on.
                    kill(victim.pid(), SIGCONT);
                    victim.kill9();
                    restart(victim);
                }
                wait_until_gone(programs);
                shared().check_next_backup();
            }
        }
    }
}

TEST_CASE("a broker that is killed costs the backup, and nothing else") {
    constexpr Moment moments[] = {
        {Role::coordinator, "join"},    {Role::participant, "ready"},
        {Role::coordinator, "armed"},   {Role::participant, "hold"},
        {Role::coordinator, "held"},    {Role::participant, "prepared"},
        {Role::coordinator, "publish"}, {Role::participant, "commit"},
    };
    std::size_t round = 0;
    for (const Moment& moment : moments) {
        INFO(moment);
        HaltedBackup backup(shared(), round++ % NetworkCluster::nodes, moment);
        Broker& victim = backup.victim_broker();
        const auto programs = victim.port_programs();
        victim.kill9();
        CHECK(backup.finish() == (moment.step == std::string("commit")));
        check_over(backup, others(backup.victim()));
        wait_until_gone(programs);
        restart(victim);
        shared().check_next_backup();
    }
    shared().check_logged_pauses();
}

TEST_CASE("a broker that is stopped for long costs the backup, and nothing else") {
    constexpr Moment moments[] = {
        {Role::participant, "ready"},    {Role::coordinator, "armed"},  {Role::participant, "hold"},
        {Role::coordinator, "prepared"}, {Role::participant, "commit"},
    };
    std::size_t round = 0;
    for (const Moment& moment : moments) {
        INFO(moment);
        HaltedBackup backup(shared(), round++ % NetworkCluster::nodes, moment);
        {
            const Stopped stopped(backup.victim_broker().pid());
            // Asks its own node when it is the coordinator's, for a while.
            CHECK(backup.finish() == (moment.step == std::string("commit")));
            check_over(backup, others(backup.victim()));
        }
        // What it still believes is of no use.
        backup.go_on();
        shared().wait_until_idle(all_nodes());
        shared().restart_application(backup.victim());
        shared().check_next_backup();
    }
}

TEST_CASE("a broker that is stopped for a second is waited for") {
    constexpr Moment moments[] = {
        {Role::participant, "ready"},    {Role::coordinator, "ready"},
        {Role::participant, "armed"},    {Role::coordinator, "armed"},
        {Role::participant, "hold"},     {Role::coordinator, "hold"},
        {Role::participant, "held"},     {Role::coordinator, "held"},
        {Role::participant, "prepared"}, {Role::coordinator, "publish"},
        {Role::participant, "commit"},   {Role::coordinator, "published"},
    };
    std::size_t round = 0;
    for (const Moment& moment : moments) {
        INFO(moment);
        HaltedBackup backup(shared(), round++ % NetworkCluster::nodes, moment);
        {
            const Stopped stopped(backup.victim_broker().pid());
            // As long as the fault lasts, and less than others wait.
            std::this_thread::sleep_for(1s);
        }
        backup.go_on();
        CHECK(backup.finish());
        check_over(backup, others(backup.victim()));
    }
}

TEST_CASE("a command that is killed or stopped is not needed, one that is interrupted cancels") {
    std::size_t round = 0;
    for (const char* step : {"join", "ready", "hold", "prepared", "publish"}) {
        for (const int signal : {SIGKILL, SIGSTOP, SIGINT}) {
            INFO(step << ": " << signal);
            const Moment moment{Role::coordinator, step};
            HaltedBackup backup(shared(), round++ % NetworkCluster::nodes, moment);
            backup.create().signal(signal);
            backup.go_on();
            shared().wait_until_idle(all_nodes());
            backup.create().signal(SIGCONT);
            const auto& created = backup.create().wait();
            if (signal == SIGINT) {
                CHECK(created.exit_code == 130);
            }
            // What is being published goes on.
            const bool is_cancelled = signal == SIGINT && step != std::string("publish");
            CHECK(backup.finish_without_create() == !is_cancelled);
            backup.check_pauses(all_nodes());
        }
    }
    shared().check_next_backup();
}
