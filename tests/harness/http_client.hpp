// A small HTTP/1.1 client for tests: one connection per request, on the loopback interface.
//
// It does no more than the tests need of it, and what real clients hide: reading an answer slowly,
// or going away in its middle.
#pragma once

#include <nlohmann/json.hpp>

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace harness {

struct Credentials {
    std::string user = "guest";
    std::string password = "guest";
};

struct HttpResponse {
    int status = 0;
    std::map<std::string, std::string> headers;  // names in lower case
    std::string body;

    // Null when the body is no JSON.
    nlohmann::json json() const { return nlohmann::json::parse(body, nullptr, false); }
    // Empty when there is none.
    std::string header(const std::string& name) const;
};

class HttpClient {
public:
    // No credentials: none are sent.
    explicit HttpClient(std::uint16_t port, std::optional<Credentials> credentials = Credentials{})
        : port_(port), credentials_(std::move(credentials)) {}

    // `body` is sent as application/json. Throws Error when the answer does not come whole.
    HttpResponse request(std::string_view method, std::string_view path,
                         std::string_view body = {}) const;

private:
    friend class HttpDownload;
    std::string head(std::string_view method, std::string_view path, std::size_t length) const;

    std::uint16_t port_;
    std::optional<Credentials> credentials_;
};

// An answer to a GET that is read by and by. The connection is closed with the object.
class HttpDownload {
public:
    // Sends the request and reads the head of the answer. A small receive buffer makes the sender
    // wait for the reader early.
    HttpDownload(const HttpClient& client, std::string_view path);
    HttpDownload(const HttpDownload&) = delete;
    HttpDownload& operator=(const HttpDownload&) = delete;
    ~HttpDownload();

    const HttpResponse& head() const noexcept { return head_; }
    // Up to so many bytes of the body; empty at the end of the connection.
    std::string read(std::size_t most);

private:
    int socket_;
    HttpResponse head_;
    std::string read_ahead_;
};

}  // namespace harness
