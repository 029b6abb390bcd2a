#include "erlang_port/cookie.hpp"

#include "erlang_port/error.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>

namespace erlang {
namespace {

std::string trimmed(const std::string& text) {
    constexpr const char* white = " \t\r\n";
    const auto first = text.find_first_not_of(white);
    return first == std::string::npos
               ? std::string()
               : text.substr(first, text.find_last_not_of(white) - first + 1);
}

// The cookie of a file, or nothing and the reason in `problem`.
std::optional<std::string> read_cookie(const std::filesystem::path& file, std::string& problem) {
    std::error_code unreadable;
    const auto status = std::filesystem::status(file, unreadable);
    if (unreadable || !std::filesystem::is_regular_file(status)) {
        problem = unreadable ? unreadable.message() : "not a file";
        return std::nullopt;
    }
    errno = 0;
    std::ifstream stream(file, std::ios::binary);
    if (!stream) {
        problem = std::strerror(errno);
        return std::nullopt;
    }
    auto cookie = trimmed({std::istreambuf_iterator<char>(stream), {}});
    if (cookie.empty()) {
        problem = "it is empty";
        return std::nullopt;
    }
    return cookie;
}

[[noreturn]] void not_found(const std::string& tried) {
    throw hot_backup::Error(hot_backup::ErrorCode::unreachable,
                            "no Erlang cookie could be read: " + tried,
                            "Run the program as the user of the broker or as root, or name the "
                            "broker's cookie file.");
}

}  // namespace

std::vector<std::filesystem::path> usual_cookie_files() {
    std::vector<std::filesystem::path> files;
    if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0') {
        files.emplace_back(std::filesystem::path(home) / ".erlang.cookie");
    }
    files.emplace_back("/var/lib/rabbitmq/.erlang.cookie");
    return files;
}

std::string find_cookie(const std::optional<std::filesystem::path>& file,
                        const std::vector<std::filesystem::path>& usual_files) {
    std::string tried;
    const auto try_file = [&tried](const std::filesystem::path& candidate) {
        std::string problem;
        auto cookie = read_cookie(candidate, problem);
        if (!cookie) {
            tried += (tried.empty() ? "" : ", ") + candidate.string() + " (" + problem + ")";
        }
        return cookie;
    };
    if (file) {
        if (auto cookie = try_file(*file)) {
            return *cookie;
        }
        not_found(tried);
    }
    if (const char* variable = std::getenv("RABBITMQ_ERLANG_COOKIE")) {
        if (auto cookie = trimmed(variable); !cookie.empty()) {
            return cookie;
        }
    }
    for (const auto& candidate : usual_files) {
        if (auto cookie = try_file(candidate)) {
            return *cookie;
        }
    }
    not_found(tried);
}

}  // namespace erlang
