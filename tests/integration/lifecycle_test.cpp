// The plugin is enabled and disabled on a running node, and leaves nothing behind.
#include "tests/harness/temp_dir.hpp"
#include "tests/harness/wait.hpp"
#include "tests/integration/service_watch.hpp"
#include "tests/integration/support.hpp"

#include <catch2/catch.hpp>

#include <csignal>

using namespace harness;
using namespace integration;
using namespace std::chrono_literals;

namespace {

// Of the node's Erlang VM: whether the library that lets it rest is part of it.
bool has_library(const Broker& broker) {
    return read_file("/proc/" + std::to_string(broker.pid()) + "/maps")
               .find("librabbitmq_hot_backup_nap.so") != std::string::npos;
}

}  // namespace

TEST_CASE("the plugin comes and goes on a running node") {
    Broker broker;
    add_ballast(broker);
    const TempDir files;
    const auto repository = files / "repository";
    // The check itself sees what is there.
    REQUIRE(erlang::to_string(probe(broker, "leftovers"), 4000).find("rabbit_hot_backup_port") !=
            std::string::npos);
    REQUIRE(broker.port_programs().size() == 1);
    REQUIRE(has_library(broker));
    ServiceWatch service(broker);
    const auto store = metadata_store(broker);

    broker.rabbitmq_plugins({"disable", "rabbitmq_hot_backup"});
    check_leftovers(broker);
    CHECK_FALSE(has_library(broker));
    CHECK_THAT(check_one_error(create_backup(broker, repository), 12),
               Catch::Contains("not enabled") || Catch::Contains("does not run"));

    if (store == "mnesia") {
        // As a node leaves it whose plugin was killed before it could release its checkpoint.
        broker.eval(
            "{ok, _, _} = mnesia:activate_checkpoint("
            "[{name, {rabbit_hot_backup, node(), {1, 1}}}, {max, [rabbit_durable_queue]}]),"
            "{ok, _, _} = mnesia:activate_checkpoint([{name, somebodys}, {max, [rabbit_vhost]}]).");
    }
    broker.rabbitmq_plugins({"enable", "rabbitmq_hot_backup"});
    CHECK(broker.eval("{Time, _} = timer:tc(rabbit_hot_backup_nap, nap, [1000]), Time >= 1000.")
              .is_atom("true"));
    if (store == "mnesia") {
        wait_for("the end of the stale checkpoint", 15s, [&] {
            return broker.call("mnesia", "system_info", {erlang::atom("checkpoints")}) ==
                   erlang::list({erlang::atom("somebodys")});
        });
        broker.eval("ok = mnesia:deactivate_checkpoint(somebodys).");
    }
    check_next_backup(broker, repository);

    RunningCreate create(broker, repository);
    create.stop_in_stream();
    enable_only(broker, "");
    check_leftovers(broker);
    create.signal(SIGCONT);
    check_one_error(create.wait(), 1);
    CHECK(listed(repository).empty());

    enable_only(broker, "rabbitmq_hot_backup");
    const pid_t program = start_and_stop_in_stream(broker, repository).program;
    enable_only(broker, "");
    check_leftovers(broker);
    CHECK(program_name(program).empty());
    CHECK(listed(repository).empty());
    service.finish();
}
