#include "tests/management/support.hpp"

#include "tests/harness/wait.hpp"

#include <catch2/catch.hpp>

namespace management_tests {

using namespace std::chrono_literals;

harness::Broker& managed_broker() {
    static harness::Broker broker({.plugins = {"rabbitmq_management", "rabbitmq_event_exchange"}});
    return broker;
}

harness::HttpClient administrator(const harness::Broker& broker) {
    return harness::HttpClient(broker.management_port());
}

harness::HttpClient make_user(const harness::Broker& broker, const std::string& name,
                              const std::vector<std::string>& tags) {
    std::string list;
    for (const auto& tag : tags) {
        list += (list.empty() ? "" : ",") + tag;
    }
    broker.eval("N = <<\"" + name +
                "\">>, B = rabbit_auth_backend_internal, catch B:delete_user(N, N), "
                "ok = B:add_user(N, N, N), ok = B:set_tags(N, [" +
                list +
                "], N), ok = B:set_permissions(N, <<\"/\">>, <<\".*\">>, <<\".*\">>, "
                "<<\".*\">>, N).");
    return harness::HttpClient(broker.management_port(), harness::Credentials{name, name});
}

Json call(const harness::HttpClient& client, const std::string& method, const std::string& path,
          int status, const Json& body) {
    const auto response =
        client.request(method, api + path, body.is_null() ? std::string() : body.dump());
    INFO(method << " " << path << ": " << response.body);
    CHECK(response.status == status);
    return response.json();
}

Json run_job(const harness::HttpClient& client, const std::string& path, const Json& body) {
    const auto job = call(client, "POST", path, 201, body);
    const auto place = "/jobs/" + std::to_string(job.at("id").get<int>());
    return harness::wait_for("the job of " + path, 5min,
                             [&]() -> std::optional<Json> {
                                 auto now = call(client, "GET", place, 200);
                                 const auto& state = now.at("state");
                                 if (state == "requested" || state == "running") {
                                     return std::nullopt;
                                 }
                                 return now;
                             })
        .value();
}

void wait_until_idle(const harness::HttpClient& client) {
    harness::wait_for("the end of all jobs", 2min,
                      [&] { return call(client, "GET", "/status", 200).at("running").empty(); });
}

std::string make_backup(const harness::HttpClient& client) {
    const auto job = run_job(client, "/backups");
    INFO(job.dump(2));
    REQUIRE(job["state"] == "done");
    wait_until_idle(client);  // a verification follows it
    return job["backup"];
}

std::string settled_log(const harness::Broker& broker) {
    static int number = 0;
    const auto mark = "the log is settled, " + std::to_string(++number) + ";";
    broker.eval("logger:info(\"" + mark + "\").");
    return harness::wait_for("the log to be written", 30s,
                             [&]() -> std::optional<std::string> {
                                 auto log = broker.log();
                                 return log.find(mark) == std::string::npos ? std::nullopt
                                                                            : std::optional(log);
                             })
        .value();
}

}  // namespace management_tests
