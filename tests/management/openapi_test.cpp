// docs/openapi.json against the running API: every route is in it, every operation in it answers,
// and the answers are as it says.
#include "tests/harness/amqp_client.hpp"
#include "tests/harness/temp_dir.hpp"
#include "tests/management/schema.hpp"
#include "tests/management/support.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <set>
#include <sstream>

namespace {

using namespace management_tests;

const Json& document() {
    static const auto parsed = Json::parse(harness::read_file(OPENAPI_DOCUMENT));
    return parsed;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
    for (auto at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
        text.replace(at, from.size(), to);
    }
    return text;
}

// The routes that the management plugin is told of, in the notation of OpenAPI.
std::set<std::string> routes(const harness::Broker& broker) {
    const auto list = broker.eval(
        "iolist_to_binary(lists:join(10, [re:replace(P, \":([a-z]+)\", \"{\\\\1}\", [global]) "
        "|| {P, _, _} <- rabbit_hot_backup_mgmt:dispatcher()])).");
    std::istringstream lines(std::string(std::get<erlang::Binary>(list.value()).bytes));
    std::set<std::string> all;
    for (std::string line; std::getline(lines, line);) {
        all.insert(line);
    }
    return all;
}

std::set<std::string> methods_of(const Json& path) {
    std::set<std::string> methods;
    for (const auto& [name, operation] : path.items()) {
        if (name != "parameters") {
            std::string method = name;
            std::transform(method.begin(), method.end(), method.begin(),
                           [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
            methods.insert(method);
        }
    }
    return methods;
}

// The methods that the API itself names, but for those that come with every resource.
std::set<std::string> allowed(const harness::HttpClient& client, const std::string& path) {
    const auto without_braces = replaced(replaced(path, "{", ""), "}", "");
    std::istringstream words(
        replaced(client.request("OPTIONS", "/api" + without_braces).header("allow"), ",", " "));
    std::set<std::string> methods;
    for (std::string word; words >> word;) {
        if (word != "HEAD" && word != "OPTIONS") {
            methods.insert(word);
        }
    }
    return methods;
}

// One call, and its place in the document.
struct Call {
    std::string method;
    std::string path;  // as the document has it, below /hot-backup
    int status;
    std::string query = {};
    Json body = nullptr;
    std::string id = {};  // of another backup
};

class Checked {
public:
    Checked(const harness::Broker& broker, std::string id, std::string job)
        : client_(administrator(broker)), id_(std::move(id)), job_(std::move(job)) {}

    void check(const Call& call) {
        auto path = replaced(call.path, "{id}", call.id.empty() ? id_ : call.id);
        path = replaced(replaced(path, "{job}", job_), "{within}/{unit}", "1/days");
        const auto response =
            client_.request(call.method, api + path + call.query,
                            call.body.is_null() ? std::string() : call.body.dump());
        INFO(call.method << " " << path << call.query << ": " << response.status << " "
                         << response.body.substr(0, 2000));
        REQUIRE(response.status == call.status);

        std::string method = call.method;
        std::transform(method.begin(), method.end(), method.begin(),
                       [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
        const auto& operation = document()["paths"].at("/hot-backup" + call.path).at(method);
        const auto& documented = operation["responses"].at(std::to_string(call.status));
        check_content(response, documented);
        const auto headers = documented.value("headers", Json::object());
        for (const auto& [name, header] : headers.items()) {
            std::string lower = name;
            std::transform(lower.begin(), lower.end(), lower.begin(),
                           [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
            CHECK_FALSE(response.header(lower).empty());
        }
        if (call.status < 400) {
            answered_.insert(call.method + " /hot-backup" + call.path);
        }
    }

    const std::set<std::string>& answered() const { return answered_; }

private:
    static void check_content(const harness::HttpResponse& response, const Json& documented) {
        if (!documented.contains("content")) {
            CHECK(response.body.empty());
            return;
        }
        const auto content = documented["content"].begin();
        CHECK(response.header("content-type") == content.key());
        if (content.key() == "application/json") {
            CHECK(mismatch(response.json(), (*content)["schema"], document()) == "");
        }
    }

    harness::HttpClient client_;
    std::string id_;
    std::string job_;
    std::set<std::string> answered_;
};

TEST_CASE("the document has every route and every method, and no other") {
    auto& broker = managed_broker();
    const auto client = administrator(broker);
    std::set<std::string> documented;
    for (const auto& [path, item] : document()["paths"].items()) {
        documented.insert(path);
        INFO(path);
        CHECK(allowed(client, path) == methods_of(item));
    }
    CHECK(documented == routes(broker));
}

TEST_CASE("every operation answers as the document says") {
    auto& broker = managed_broker();
    const auto client = administrator(broker);
    {
        harness::AmqpClient publisher(broker.amqp_port());
        publisher.declare_queue("orders");
        publisher.publish("", "orders", "one");
        if (harness::has_streams()) {
            publisher.declare_queue("stream",
                                    {.arguments = {{"x-queue-type", {std::string("stream")}}}});
        }
    }
    // A job that failed, for the last failure.
    const auto id = make_backup(client);
    const auto failed = run_job(client, "/backups/" + id + "/restore", {{"queues", {"//nothing"}}});
    CHECK(failed["state"] == "failed");
    CHECK(mismatch(failed, document()["components"]["schemas"]["Job"], document()) == "");
    broker.eval("application:set_env(rabbitmq_hot_backup, retention, [{keep_last, 100}]).");

    Checked api(broker, id, std::to_string(failed["id"].get<int>()));
    const std::string backup = "/backups/{id}";
    const std::string none = "20200101T000000.000Z";
    const Json orders{{"queues", {"//orders"}}, {"definitions_only", true}};
    const std::vector<Call> calls{
        {"GET", "/status", 200},
        {"GET", "/backups", 200},
        {"GET", "/backups", 200, "?page=1&sort=instant"},
        {"GET", "/backups", 400, "?page=7"},
        {"GET", backup, 200},
        {"GET", backup, 404, "", nullptr, none},
        {"GET", backup + "/queues", 200},
        {"GET", backup + "/queues", 200, "?page=1&page_size=1"},
        {"GET", backup + "/queues", 400, "?page=x"},
        {"GET", backup + "/files", 200},
        {"GET", backup + "/files", 200, "?page=1"},
        {"GET", backup + "/files", 400, "?sort=nothing"},
        {"GET", backup + "/configuration", 200},
        {"GET", backup + "/log", 200},
        {"GET", backup + "/findings", 200},
        {"GET", backup + "/definitions", 200},
        {"PUT", backup + "/protection", 204, "", {{"reason", "a test"}}},
        {"PUT", backup + "/protection", 400, "", {{"because", "a test"}}},
        {"GET", "/backups", 200},
        {"DELETE", backup, 409},
        {"DELETE", backup + "/protection", 204},
        {"POST", backup + "/restore/plan", 200, "", orders},
        {"POST", backup + "/restore/plan", 400, "", Json::object()},
        {"POST", backup + "/restore", 400, "", Json::object()},
        {"POST", backup + "/restore", 201, "", orders},
        {"POST", backup + "/download", 201},
        {"GET", backup + "/download", 200},
        {"GET", backup + "/download", 401, "?ticket=x"},
        {"GET", backup + "/download", 404, "", nullptr, none},
        {"GET", "/jobs", 200},
        {"GET", "/jobs/{job}", 200},
        {"DELETE", "/jobs/{job}", 409},
        {"POST", "/prune", 200, "", {{"dry_run", true}}},
        {"POST", "/prune", 200, "", {{"dry_run", true}, {"keep_last", 3}}},
        {"POST", "/prune", 400, "", {{"really", true}}},
        {"GET", "/health/checks/last-verified/within/{within}/{unit}", 200},
        {"POST", backup + "/drill", 201},
        {"POST", backup + "/drill", 409},
        {"POST", backup + "/verification", 409},
    };
    for (const auto& call : calls) {
        api.check(call);
    }

    const auto running = call(client, "GET", "/status", 200)["running"];
    const auto drill = std::find_if(running.begin(), running.end(),
                                    [](const Json& job) { return job["kind"] == "drill"; });
    REQUIRE(drill != running.end());
    Checked running_job(broker, id, std::to_string((*drill)["id"].get<int>()));
    running_job.check({"GET", "/jobs/{job}", 200});
    running_job.check({"DELETE", "/jobs/{job}", 202});
    wait_until_idle(client);
    api.check({"POST", backup + "/verification", 201});
    api.check({"POST", "/backups", 201});
    wait_until_idle(client);
    api.check({"DELETE", backup, 204});
    broker.eval("application:set_env(rabbitmq_hot_backup, retention, []).");
    api.check({"POST", "/prune", 409});

    auto answered = api.answered();
    answered.insert(running_job.answered().begin(), running_job.answered().end());
    for (const auto& [path, item] : document()["paths"].items()) {
        for (const auto& method : methods_of(item)) {
            INFO(method << " " << path);
            CHECK(answered.contains(method + " " + path));
        }
    }
}

}  // namespace
