// A broker of a release that nobody has tried: backed up with a warning as long as it looks like
// those that are known, refused when it does not, and harmed by neither.
#include "tests/harness/amqp_client.hpp"
#include "tests/harness/temp_dir.hpp"
#include "tests/integration/support.hpp"

#include <catch2/catch.hpp>

using namespace harness;
using namespace integration;

namespace {

// What the node says that it is from now on.
void pretend_release(const Broker& broker, const std::string& version) {
    broker.eval(
        "[{Key, Rabbit}] = ets:lookup(ac_tab, {loaded, rabbit}),"
        " {ok, Now} = application:get_key(rabbit, vsn),"
        " Changed = list_to_tuple([case Field of Now -> \"" +
        version +
        "\"; _ -> Field end || Field <- tuple_to_list(Rabbit)]),"
        " true = ets:insert(ac_tab, {Key, Changed}),"
        " {ok, \"" +
        version + "\"} = application:get_key(rabbit, vsn).");
}

// A user whose password hash is of a kind that no release has had. What else is in such a record
// depends on the release.
void add_strange_user(const Broker& broker) {
    const std::string strange =
        "Strange = setelement(2, setelement(3, Guest, {argon2, <<\"x\">>}), <<\"strange\">>), ";
    broker.eval(
        metadata_store(broker) == "khepri"
            ? "Path = fun(Name) -> rabbit_db_user:khepri_user_path(Name) end,"
              " {ok, Guest} = rabbit_khepri:get(Path(<<\"guest\">>)), " +
                  strange + "ok = rabbit_khepri:put(Path(<<\"strange\">>), Strange)."
            : "[Guest] = mnesia:dirty_read(rabbit_user, <<\"guest\">>), " + strange +
                  "ok = mnesia:dirty_write(rabbit_user, Strange).");
}

void check_serves(const Broker& broker) {
    AmqpClient client(broker.amqp_port());
    client.declare_queue("served", {});
    client.publish("", "served", "a message");
    CHECK(client.get("served") == "a message");
}

}  // namespace

TEST_CASE("a release that nobody has tried is backed up with a warning, or refused unharmed") {
    const Broker broker;
    const TempDir files;
    const auto repository = files / "repository";
    pretend_release(broker, "9.8.7");

    const auto made = create_backup(broker, repository);
    INFO(made.output << made.error_output);
    REQUIRE(made.exit_code == 0);
    CHECK_THAT(made.output, Catch::Contains("RabbitMQ 9.8.7 is none of the releases"));
    CHECK(check_listed_is_whole(repository) == 1);

    add_strange_user(broker);
    const auto refused = check_one_error(create_backup(broker, repository), 1);
    CHECK_THAT(refused, Catch::Contains("RabbitMQ 9.8.7") && Catch::Contains("a user"));
    CHECK(check_listed_is_whole(repository) == 1);
    wait_until_idle(broker);
    check_serves(broker);
}
