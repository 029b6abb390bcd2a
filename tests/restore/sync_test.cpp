// What a restore relies on when it says that all is on stable storage.
#include "sidecar/restore/target_file.hpp"

#include "erlang_port/error.hpp"
#include "tests/harness/temp_dir.hpp"
#include "tests/repository/sample.hpp"

#include <catch2/catch.hpp>

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>

using namespace hot_backup;

TEST_CASE("only from Linux 5.8 on a file system's sync tells of failed writes") {
    for (const char* release : {"5.8", "5.8.0-1-amd64", "5.10.0", "6.1.0-13-amd64", "10.0"}) {
        CHECK(sync_file_system_reports_errors(release));
    }
    for (const char* release :
         {"5.7.19", "5.4.0-42-generic", "4.19.0", "3.10.0-1160.el7", "", "x"}) {
        CHECK_FALSE(sync_file_system_reports_errors(release));
    }
    CHECK_FALSE(kernel_release().empty());
}

TEST_CASE("each file of a tree is synced, however deep, and what cannot be is named") {
    const harness::TempDir tree;
    make_directory(tree / "a");
    make_directory(tree / "a/b");
    harness::write_file(tree / "a/b/file", "x");
    make_link(tree / "a/b/dangling", "/nonexistent/target");
    sync_tree(tree.path());

    // Nobody can open a socket as a file.
    const Descriptor socket(::socket(AF_UNIX, SOCK_STREAM, 0));
    const std::string place = tree / "a/b/socket";
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    REQUIRE(place.size() < sizeof address.sun_path);
    std::ranges::copy(place, address.sun_path);
    REQUIRE(::bind(socket.number(), reinterpret_cast<const sockaddr*>(&address), sizeof address) ==
            0);
    CHECK(repository_test::has(repository_test::error_of([&] { sync_tree(tree.path()); }).what(),
                               place));
}
