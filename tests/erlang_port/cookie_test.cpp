#include "erlang_port/cookie.hpp"

#include "erlang_port/error.hpp"
#include "tests/harness/temp_dir.hpp"

#include <catch2/catch.hpp>

#include <cstdlib>

using namespace erlang;
using hot_backup::Error;
using hot_backup::ErrorCode;

namespace {

// The variable, for as long as it lives.
class CookieVariable {
public:
    explicit CookieVariable(const char* value) { ::setenv(name, value, 1); }
    ~CookieVariable() { ::unsetenv(name); }

private:
    static constexpr const char* name = "RABBITMQ_ERLANG_COOKIE";
};

}  // namespace

TEST_CASE("a cookie comes from the file that is named, trimmed") {
    const harness::TempDir directory;
    harness::write_file(directory / "cookie", "  SECRET\r\n");
    CHECK(find_cookie(directory / "cookie") == "SECRET");
    const CookieVariable variable("OTHER");
    CHECK(find_cookie(directory / "cookie") == "SECRET");
}

TEST_CASE("a named file that cannot be used is an error even if there are others") {
    const harness::TempDir directory;
    harness::write_file(directory / "good", "SECRET");
    harness::write_file(directory / "empty", "\n");
    for (const char* name : {"missing", "empty", "."}) {
        try {
            find_cookie(directory / name, {directory / "good"});
            FAIL("no error for " << name);
        } catch (const Error& error) {
            CHECK(error.code() == ErrorCode::unreachable);
            CHECK_THAT(error.what(), Catch::Contains((directory / name).string()));
            CHECK_FALSE(error.hint().empty());
        }
    }
}

TEST_CASE("without a named file the usual places are tried in order") {
    const harness::TempDir directory;
    const auto home = directory / "home";
    const auto system = directory / "system";
    harness::write_file(system, "SYSTEM");
    CHECK(find_cookie(std::nullopt, {home, system}) == "SYSTEM");
    harness::write_file(home, "HOME");
    CHECK(find_cookie(std::nullopt, {home, system}) == "HOME");
    const CookieVariable variable(" VARIABLE ");
    CHECK(find_cookie(std::nullopt, {home, system}) == "VARIABLE");
}

TEST_CASE("every place tried is named with what was wrong there") {
    const harness::TempDir directory;
    harness::write_file(directory / "empty", "");
    CHECK_THROWS_WITH(find_cookie(std::nullopt, {directory / "missing", directory / "empty"}),
                      "no Erlang cookie could be read: " + (directory / "missing").string() +
                          " (No such file or directory), " + (directory / "empty").string() +
                          " (it is empty)");
}

TEST_CASE("the usual places are the home directory and that of the packages") {
    const char* home = std::getenv("HOME");
    const std::string before = home ? home : "";
    ::setenv("HOME", "/home/somebody", 1);
    const auto files = usual_cookie_files();
    ::setenv("HOME", before.c_str(), 1);
    CHECK(files == std::vector<std::filesystem::path>{"/home/somebody/.erlang.cookie",
                                                      "/var/lib/rabbitmq/.erlang.cookie"});
}
