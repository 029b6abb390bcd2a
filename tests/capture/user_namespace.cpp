#include "tests/capture/user_namespace.hpp"

#include "tests/harness/temp_dir.hpp"
#include "tests/repository/child.hpp"

#include <sched.h>
#include <unistd.h>

#include <exception>
#include <fstream>

namespace capture_test {

namespace {

constexpr int passed = 0;
constexpr int no_namespace = 77;

bool write_setting(const std::string& path, const std::string& value) {
    std::ofstream file(path);
    file << value << std::flush;
    return file.good();
}

bool enter_user_namespace(const std::string& limit, int value) {
    const std::string users = "0 " + std::to_string(::geteuid()) + " 1";
    const std::string groups = "0 " + std::to_string(::getegid()) + " 1";
    return ::unshare(CLONE_NEWUSER) == 0 && write_setting("/proc/self/setgroups", "deny") &&
           write_setting("/proc/self/uid_map", users) &&
           write_setting("/proc/self/gid_map", groups) &&
           write_setting("/proc/sys/user/" + limit, std::to_string(value));
}

}  // namespace

std::optional<std::string> in_user_namespace(const std::string& limit, int value,
                                             const std::function<void()>& body) {
    const harness::TempDir directory;
    const std::filesystem::path report = directory / "report";
    repository_test::Child child([&] {
        if (!enter_user_namespace(limit, value)) {
            return no_namespace;
        }
        try {
            body();
            return passed;
        } catch (const std::exception& error) {
            harness::write_file(report, error.what());
            return 1;
        }
    });
    switch (child.wait()) {
        case no_namespace:
            return std::nullopt;
        case passed:
            return "";
        default:
            return "failed: " + harness::read_file(report);
    }
}

}  // namespace capture_test
