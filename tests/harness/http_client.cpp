#include "tests/harness/http_client.hpp"

#include "erlang_port/error.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstring>

namespace harness {

using hot_backup::Error;
using hot_backup::ErrorCode;

namespace {

constexpr int receive_buffer = 64 << 10;
constexpr timeval patience{.tv_sec = 120, .tv_usec = 0};

[[noreturn]] void fail(const std::string& what) {
    throw Error(ErrorCode::failed, "HTTP: " + what + ": " + std::strerror(errno));
}

int connect_to(std::uint16_t port) {
    const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ::setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    ::setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        ::close(descriptor);
        fail("cannot connect");
    }
    return descriptor;
}

void send_all(int descriptor, std::string_view bytes) {
    while (!bytes.empty()) {
        const auto sent = ::send(descriptor, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent < 0) {
            fail("cannot send");
        }
        bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
}

std::string receive(int descriptor, std::size_t most) {
    std::string bytes(most, '\0');
    const auto got = ::recv(descriptor, bytes.data(), bytes.size(), 0);
    if (got < 0 && errno != ECONNRESET) {
        fail("cannot receive");
    }
    bytes.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    return bytes;
}

// Base64, for credentials.
std::string encode(std::string_view bytes) {
    constexpr std::string_view alphabet =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text;
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        std::uint32_t group = 0;
        const auto count = std::min<std::size_t>(3, bytes.size() - i);
        for (std::size_t n = 0; n < 3; ++n) {
            group = group << 8 | (n < count ? static_cast<unsigned char>(bytes[i + n]) : 0U);
        }
        for (std::size_t n = 0; n < 4; ++n) {
            text += n <= count ? alphabet[group >> (18 - 6 * n) & 63U] : '=';
        }
    }
    return text;
}

// Reads up to the end of the head, and returns what came of the body with it.
std::string read_head(int descriptor, HttpResponse& response) {
    std::string bytes;
    std::size_t end = 0;
    while ((end = bytes.find("\r\n\r\n")) == std::string::npos) {
        const auto more = receive(descriptor, 16 << 10);
        if (more.empty()) {
            throw Error(ErrorCode::failed, "HTTP: no whole head came: " + bytes);
        }
        bytes += more;
    }
    std::string_view head(bytes.data(), end);
    response.status = std::stoi(bytes.substr(bytes.find(' ')));
    for (auto line_end = head.find("\r\n"); line_end != std::string_view::npos;
         line_end = head.find("\r\n")) {
        head.remove_prefix(line_end + 2);
        const auto line = head.substr(0, head.find("\r\n"));
        std::string name(line.substr(0, line.find(':')));
        std::transform(name.begin(), name.end(), name.begin(),
                       [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
        response.headers[name] = line.substr(line.find(": ") + 2);
    }
    return bytes.substr(end + 4);
}

}  // namespace

std::string HttpResponse::header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? std::string() : found->second;
}

std::string HttpClient::head(std::string_view method, std::string_view path,
                             std::size_t length) const {
    std::string text = std::string(method) + " " + std::string(path) +
                       " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
    if (credentials_) {
        text += "Authorization: Basic " +
                encode(credentials_->user + ":" + credentials_->password) + "\r\n";
    }
    if (length > 0) {
        text += "Content-Type: application/json\r\n";
    }
    return text + "Content-Length: " + std::to_string(length) + "\r\n\r\n";
}

HttpResponse HttpClient::request(std::string_view method, std::string_view path,
                                 std::string_view body) const {
    const int descriptor = connect_to(port_);
    HttpResponse response;
    try {
        send_all(descriptor, head(method, path, body.size()) + std::string(body));
        response.body = read_head(descriptor, response);
        for (auto more = receive(descriptor, 64 << 10); !more.empty();
             more = receive(descriptor, 64 << 10)) {
            response.body += more;
        }
    } catch (...) {
        ::close(descriptor);
        throw;
    }
    ::close(descriptor);
    const auto length = response.header("content-length");
    if (method != "HEAD" && !length.empty() && std::stoull(length) != response.body.size()) {
        throw Error(ErrorCode::failed, "HTTP: " + length + " bytes were announced, " +
                                           std::to_string(response.body.size()) + " came");
    }
    return response;
}

HttpDownload::HttpDownload(const HttpClient& client, std::string_view path)
    : socket_(connect_to(client.port_)) {
    try {
        send_all(socket_, client.head("GET", path, 0));
        read_ahead_ = read_head(socket_, head_);
    } catch (...) {
        ::close(socket_);
        throw;
    }
}

HttpDownload::~HttpDownload() {
    ::close(socket_);
}

std::string HttpDownload::read(std::size_t most) {
    if (!read_ahead_.empty()) {
        return std::exchange(read_ahead_, {});
    }
    return receive(socket_, most);
}

}  // namespace harness
