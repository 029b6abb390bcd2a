// What the tests of the HTTP API and of the commands share: a broker with the management plugin,
// users of every kind, and waiting for jobs.
#pragma once

#include "tests/harness/broker.hpp"
#include "tests/harness/http_client.hpp"

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace management_tests {

using Json = nlohmann::json;

inline const std::string api = "/api/hot-backup";

// With rabbitmq_management and rabbitmq_event_exchange.
harness::Broker& managed_broker();

harness::HttpClient administrator(const harness::Broker& broker);

// A user, whose password is the name, with these tags ("administrator", ...), all permissions.
harness::HttpClient make_user(const harness::Broker& broker, const std::string& name,
                              const std::vector<std::string>& tags);

// Sends a request and checks its status. Returns the body as JSON.
Json call(const harness::HttpClient& client, const std::string& method, const std::string& path,
          int status, const Json& body = nullptr);

// Starts a job with a POST, and waits for its end.
Json run_job(const harness::HttpClient& client, const std::string& path,
             const Json& body = nullptr);
// Waits until no job of any kind runs.
void wait_until_idle(const harness::HttpClient& client);
// Makes a backup and returns its ID. Nothing runs afterwards.
std::string make_backup(const harness::HttpClient& client);

// The broker's log with all that has been logged by now: it is written with some delay.
std::string settled_log(const harness::Broker& broker);

}  // namespace management_tests
