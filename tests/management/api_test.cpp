// The HTTP API on a real broker: what administrators can do, and that nobody else can.
#include "tests/harness/amqp_client.hpp"
#include "tests/harness/wait.hpp"
#include "tests/management/support.hpp"

#include <catch2/catch.hpp>

#include <algorithm>

namespace {

using namespace management_tests;
using namespace std::chrono_literals;

void publish(const harness::Broker& broker, const std::string& queue, int messages) {
    harness::AmqpClient client(broker.amqp_port());
    client.declare_queue(queue);
    for (int i = 0; i < messages; ++i) {
        client.publish("", queue, "message " + std::to_string(i));
    }
}

int drain(const harness::Broker& broker, const std::string& queue) {
    harness::AmqpClient client(broker.amqp_port());
    int messages = 0;
    while (client.get(queue)) {
        ++messages;
    }
    return messages;
}

const Json* find(const Json& list, const std::string& key, const Json& value) {
    const auto found = std::find_if(list.begin(), list.end(), [&](const Json& item) {
        return item.value(key, Json()) == value;
    });
    return found == list.end() ? nullptr : &*found;
}

TEST_CASE("a backup is made, looked at, verified, booted, restored from and deleted") {
    auto& broker = managed_broker();
    const auto client = administrator(broker);
    publish(broker, "orders", 20);
    publish(broker, "bestellungen größer", 1);

    const auto id = make_backup(client);
    const auto path = "/backups/" + id;

    const auto list = call(client, "GET", "/backups", 200);
    REQUIRE(list.is_array());
    CHECK(list[0]["backup"] == id);
    CHECK(call(client, "GET", "/backups/latest", 200)["backup"] == id);

    const auto one = call(client, "GET", path, 200);
    CHECK(one["node"] == broker.node());
    CHECK_FALSE(one.contains("file_list"));
    REQUIRE(one["vhosts"].size() == 1);
    CHECK(one["vhosts"][0]["name"] == "/");
    CHECK(one["vhosts"][0]["queues"] == 2);
    CHECK(one["vhosts"][0].contains("messages"));

    const auto paged = call(client, "GET", path + "/queues?sort=name&sort_reverse=true", 200);
    CHECK(paged["page_size"] == 100);
    const auto& queues = paged["items"];
    REQUIRE(queues.size() == 2);
    CHECK(queues[0]["name"] == "orders");
    CHECK(queues[0]["type"] == "classic");
    CHECK(queues[1]["name"] == "bestellungen größer");
    const auto found = call(client, "GET", path + "/queues?name=GR%C3%96%C3%9F&page=1", 200);
    CHECK(found["filtered_count"] == 1);
    CHECK(found["total_count"] == 2);

    const auto files =
        call(client, "GET", path + "/files?page=2&page_size=1&name=%5C.conf&use_regex=true", 200);
    CHECK(files["page"] == 2);
    CHECK(files["filtered_count"] < files["total_count"]);
    CHECK(files["items"].size() == 1);
    CHECK(call(client, "GET", path + "/files?name=rabbitmq.conf", 200)["item_count"] == 1);

    const auto configuration = call(client, "GET", path + "/configuration", 200);
    const auto* conf = find(configuration, "file", "configuration/rabbitmq.conf");
    REQUIRE(conf != nullptr);
    CHECK((*conf)["content"].get<std::string>().size() == (*conf)["size"]);
    CHECK((*conf)["truncated"] == false);

    const auto log = call(client, "GET", path + "/log", 200);
    for (const auto* event : {"begin", "pass", "checkpoint", "stop", "metadata", "publish"}) {
        INFO(log.dump(2));
        CHECK(find(log, "event", event) != nullptr);
    }
    CHECK(call(client, "GET", path + "/findings", 200).empty());

    const auto definitions = call(client, "GET", path + "/definitions", 200);
    CHECK(find(definitions["queues"], "name", "orders") != nullptr);

    const auto verified = run_job(client, path + "/verification");
    CHECK(verified["state"] == "done");
    CHECK(verified["user"] == "guest");
    CHECK(verified["address"] == "127.0.0.1");
    CHECK(call(client, "GET", path, 200)["verified"]["outcome"] == "intact");

    const auto drilled = run_job(client, path + "/drill");
    INFO(drilled.dump(2));
    CHECK(drilled["state"] == "done");
    CHECK(call(client, "GET", path, 200)["booted"]["outcome"] == "same");
    const auto later = call(client, "GET", path + "/log", 200);
    CHECK(find(later, "event", "verified") != nullptr);
    CHECK(later.back()["event"] == "booted");

    SECTION("a queue that is there gets the messages behind its own") {
        const auto plan =
            call(client, "POST", path + "/restore/plan", 200, {{"queues", {"//orders"}}});
        CHECK(plan["result"]["dry_run"] == true);
        CHECK(find(plan["findings"], "message_type", "queue") != nullptr);
        const auto restored = run_job(client, path + "/restore", {{"queues", {"//orders"}}});
        INFO(restored.dump(2));
        CHECK(restored["state"] == "done");
        CHECK(restored["result"]["messages"] == 20);
        CHECK(drain(broker, "orders") == 40);
    }
    SECTION("a queue comes back under another name") {
        const auto restored =
            run_job(client, path + "/restore", {{"queues", {"//orders"}}, {"as", "orders.rescue"}});
        INFO(restored.dump(2));
        CHECK(restored["state"] == "done");
        CHECK(drain(broker, "orders.rescue") == 20);
        CHECK(drain(broker, "orders") == 20);
    }

    call(client, "PUT", path + "/protection", 204, {{"reason", "end of the year"}});
    CHECK(call(client, "GET", path, 200)["protection"]["reason"] == "end of the year");
    CHECK(call(client, "DELETE", path, 409)["error"] == "conflict");
    call(client, "DELETE", path + "/protection", 204);
    call(client, "DELETE", path, 204);
    CHECK(call(client, "GET", path, 404)["error"] == "not_found");
    CHECK(find(call(client, "GET", "/backups", 200), "backup", id) == nullptr);
}

TEST_CASE("only administrators get in") {
    auto& broker = managed_broker();
    const auto client = administrator(broker);
    const auto id = make_backup(client);
    const auto jobs_before = call(client, "GET", "/jobs", 200).size();

    const std::vector<std::pair<std::string, std::string>> routes{
        {"GET", "/status"},
        {"GET", "/backups"},
        {"POST", "/backups"},
        {"GET", "/backups/" + id},
        {"DELETE", "/backups/" + id},
        {"GET", "/backups/" + id + "/queues"},
        {"GET", "/backups/" + id + "/files"},
        {"GET", "/backups/" + id + "/definitions"},
        {"GET", "/backups/" + id + "/configuration"},
        {"GET", "/backups/" + id + "/log"},
        {"GET", "/backups/" + id + "/findings"},
        {"PUT", "/backups/" + id + "/protection"},
        {"DELETE", "/backups/" + id + "/protection"},
        {"POST", "/backups/" + id + "/verification"},
        {"POST", "/backups/" + id + "/drill"},
        {"POST", "/backups/" + id + "/restore"},
        {"POST", "/backups/" + id + "/restore/plan"},
        {"POST", "/backups/" + id + "/download"},
        {"GET", "/backups/" + id + "/download"},
        {"GET", "/backups/" + id + "/download?ticket=" + std::string(36, '0')},
        {"GET", "/jobs"},
        {"GET", "/jobs/1"},
        {"DELETE", "/jobs/1"},
        {"POST", "/prune"},
        {"GET", "/health/checks/last-verified/within/1/days"}};

    const std::vector<harness::HttpClient> strangers{
        make_user(broker, "watcher", {"monitoring"}),
        make_user(broker, "manager", {"management"}),
        make_user(broker, "policies", {"policymaker"}),
        make_user(broker, "nobody", {}),
        harness::HttpClient(broker.management_port(), harness::Credentials{"guest", "wrong"}),
        harness::HttpClient(broker.management_port(), std::nullopt)};
    for (const auto& stranger : strangers) {
        for (const auto& [method, path] : routes) {
            const auto response = stranger.request(method, api + path);
            INFO(method << " " << path << ": " << response.body);
            CHECK(response.status == 401);
        }
    }
    CHECK(call(client, "GET", "/jobs", 200).size() == jobs_before);
    CHECK(call(client, "GET", "/backups/" + id, 200)["protected"] == false);

    // The tag is what counts, not the name.
    const auto other = make_user(broker, "operator", {"administrator"});
    call(other, "GET", "/status", 200);
}

TEST_CASE("what makes no sense is refused in the form of the management API") {
    const auto client = administrator(managed_broker());
    const auto id = make_backup(client);

    const auto refused = client.request("PUT", api + "/backups");
    CHECK(refused.status == 405);
    CHECK(refused.header("allow") == "HEAD, GET, POST, OPTIONS");
    CHECK(refused.json()["error"] == "method_not_allowed");
    CHECK(client.request("OPTIONS", api + "/jobs").header("allow") == "HEAD, GET, OPTIONS");
    for (const std::string method : {"PATCH", "PROPFIND", "BREW"}) {
        const auto unknown = client.request(method, api + "/status");
        CHECK(unknown.status == 405);
        CHECK(unknown.json()["error"] == "method_not_allowed");
        CHECK(client.request(method, api + "/backups/latest/download").status == 405);
    }
    CHECK(client.request("HEAD", api + "/status").status == 200);
    CHECK(client.request("GET", api + "/nothing").status == 404);

    for (const std::string hostile :
         {"..%2F..%2Fetc%2Fpasswd", "--help", "-h", "%00", "%ff", "%F0%9F%90%B0", "2", "%20",
          "20261122T000000.000Z", "latest%00", ";reboot", "%24(reboot)"}) {
        for (const std::string rest : {"", "/queues", "/definitions", "/download"}) {
            const auto answer = call(client, "GET", "/backups/" + hostile + rest, 404);
            CHECK(answer["error"] == "not_found");
        }
        call(client, "DELETE", "/backups/" + hostile, 404);
        call(client, "POST", "/backups/" + hostile + "/verification", 404);
        call(client, "POST", "/backups/" + hostile + "/download", 404);
    }
    for (const std::string number : {"0", "-1", "999999", "x", "1.0", "%00"}) {
        call(client, "GET", "/jobs/" + number, 404);
        call(client, "DELETE", "/jobs/" + number, 404);
    }

    const auto restore = "/backups/" + id + "/restore";
    const std::vector<Json> senseless{Json::object(),
                                      {{"queue", {"//orders"}}},
                                      {{"queues", "//orders"}},
                                      {{"queues", {1}}},
                                      {{"queues", Json::array()}},
                                      {{"queues", {std::string("a\0b", 3)}}},
                                      {{"all", "yes"}},
                                      {{"all", true}, {"rate_limit", 0}},
                                      Json::array({1})};
    for (const auto& body : senseless) {
        CHECK(call(client, "POST", restore, 400, body)["error"] == "bad_request");
        CHECK(call(client, "POST", restore + "/plan", 400, body)["error"] == "bad_request");
    }
    CHECK(client.request("POST", api + restore, "{").status == 400);
    CHECK(client.request("POST", api + restore, std::string(300 << 10, ' ')).status == 400);
    // What it does not have, and what would be an option of the program.
    call(client, "POST", restore + "/plan", 400, {{"queues", {"//nothing"}}, {"as", "other"}});
    call(client, "POST", restore + "/plan", 400, {{"queues", {"--all"}}});
    call(client, "POST", "/backups", 400, {{"repository", "/tmp"}});
    call(client, "POST", "/prune", 400, {{"dryrun", true}});
    call(client, "PUT", "/backups/" + id + "/protection", 400, {{"reason", 7}});
    for (const std::string page : {"page=0", "page=x", "page=1&page_size=501", "page=9",
                                   "name=(&use_regex=true", "name=%ff"}) {
        call(client, "GET", "/backups?" + page, 400);
        call(client, "GET", "/backups/" + id + "/queues?" + page, 400);
    }
    call(client, "GET", "/backups/" + id + "/files?sort=nothing", 400);
    CHECK(call(client, "GET", "/backups/" + id + "/files?name=a%00b", 200)["item_count"] == 0);
    call(client, "POST", "/prune", 400, {{"dry_run", true}, {"keep_last", 0}});
    for (const std::string time : {"0/days", "x/days", "1/fortnights", "-1/weeks"}) {
        call(client, "GET", "/health/checks/last-verified/within/" + time, 400);
    }
}

TEST_CASE("one backup and one check at a time, and each can be cancelled") {
    auto& broker = managed_broker();
    const auto client = administrator(broker);
    const auto id = make_backup(client);

    // A drill takes seconds: time enough to meet it.
    const auto drill = call(client, "POST", "/backups/" + id + "/drill", 201);
    CHECK(drill["state"] == "running");
    CHECK(call(client, "POST", "/backups/" + id + "/verification", 409)["error"] == "conflict");
    CHECK(call(client, "POST", "/backups/" + id + "/drill", 409)["error"] == "conflict");
    const auto running = call(client, "GET", "/status", 200)["running"];
    REQUIRE(running.size() == 1);
    CHECK(running[0]["id"] == drill["id"]);

    const auto place = "/jobs/" + std::to_string(drill["id"].get<int>());
    call(client, "DELETE", place, 202);
    wait_until_idle(client);
    CHECK(call(client, "GET", place, 200)["state"] == "cancelled");
    CHECK(call(client, "DELETE", place, 409)["error"] == "conflict");

    // The node is held back: the backup waits for it, and a second one is refused.
    broker.eval("application:set_env(rabbitmq_hot_backup, rate_limit, 1000).");
    const auto backup = call(client, "POST", "/backups", 201);
    CHECK(call(client, "POST", "/backups", 409)["error"] == "conflict");
    const auto backup_place = "/jobs/" + std::to_string(backup["id"].get<int>());
    call(client, "DELETE", backup_place, 202);
    broker.eval("application:set_env(rabbitmq_hot_backup, rate_limit, 0).");
    wait_until_idle(client);
    CHECK(call(client, "GET", backup_place, 200)["state"] == "cancelled");
}

TEST_CASE("every action is logged and emitted with who did it") {
    auto& broker = managed_broker();
    const auto client = make_user(broker, "auditor", {"administrator"});
    harness::AmqpClient events(broker.amqp_port());
    events.declare_queue("audit", {.exclusive = true});
    events.bind_queue("audit", "amq.rabbitmq.event", "hot.backup.#");
    events.consume("audit", 100);

    const auto id = make_backup(client);
    const auto path = "/backups/" + id;
    run_job(client, path + "/verification");
    const auto drill = call(client, "POST", path + "/drill", 201);
    call(client, "DELETE", "/jobs/" + std::to_string(drill["id"].get<int>()), 202);
    run_job(client, path + "/restore", {{"all", true}, {"definitions_only", true}});
    call(client, "PUT", path + "/protection", 204, {{"reason", "one\nline"}});
    call(client, "DELETE", path, 409);
    call(client, "DELETE", path + "/protection", 204);
    CHECK(client.request("GET", api + path + "/download").status == 200);
    broker.eval("application:set_env(rabbitmq_hot_backup, retention, [{keep_last, 100}]).");
    call(client, "POST", "/prune", 200, {{"dry_run", true}});
    call(client, "POST", "/prune", 200);
    // Rules of the request take the place of those.
    const auto wish =
        call(client, "POST", "/prune", 200, {{"dry_run", true}, {"keep_last", 1}})["findings"];
    CHECK(find(wish, "keep", true) != nullptr);
    broker.eval("application:set_env(rabbitmq_hot_backup, retention, []).");
    wait_until_idle(client);
    call(client, "DELETE", path, 204);

    std::vector<std::string> keys;
    while (keys.empty() || keys.back() != "hot.backup.deleted") {
        const auto event = events.next_delivery(10s);
        REQUIRE(event);
        keys.push_back(event->routing_key);
        events.acknowledge(event->tag);
        CHECK(event->properties.find("user_who_performed_action") != std::string::npos);
        if (event->routing_key != "hot.backup.verification.started") {
            CHECK(event->properties.find("auditor") != std::string::npos);
        }
    }
    for (const std::string key :
         {"hot.backup.started", "hot.backup.verification.started", "hot.backup.drill.started",
          "hot.backup.cancelled", "hot.backup.restore.started", "hot.backup.protected",
          "hot.backup.unprotected", "hot.backup.downloaded", "hot.backup.pruned"}) {
        INFO(key);
        CHECK(std::count(keys.begin(), keys.end(), key) >= 1);
    }
    CHECK(std::count(keys.begin(), keys.end(), "hot.backup.pruned") == 1);

    const auto log = settled_log(broker);
    const std::string who = "Hot backup: user 'auditor' at 127.0.0.1: ";
    CHECK(log.find(who + "protect backup " + id + ", reason one line") != std::string::npos);
    CHECK(log.find(who + "delete backup " + id + ": refused: ") != std::string::npos);
    CHECK(log.find(who + "download backup " + id) != std::string::npos);
}

}  // namespace
