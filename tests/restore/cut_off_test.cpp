// A restore that was cut off at any moment leaves nothing that boots, and does not hinder the next.
#include "erlang_port/error.hpp"
#include "tests/repository/sample.hpp"
#include "tests/restore/node_backup.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <map>

using namespace hot_backup;
using harness::read_file;
using harness::write_file;
using repository_test::error_of;
using repository_test::has;
using restore_test::Names;
using restore_test::NodeBackup;
using restore_test::only_the_node;
namespace fs = std::filesystem;

namespace {

Path staging(const NodeBackup& backup) {
    return backup.target().string() + ".restoring~";
}

// All files of the restored node.
std::map<std::string, std::string> contents(const NodeBackup& backup) {
    std::map<std::string, std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(backup.parent())) {
        files[entry.path().lexically_relative(backup.parent())] =
            entry.is_regular_file() ? read_file(entry.path()) : "";
    }
    return files;
}

// Runs in a process of its own, and is killed there at the call of that number; false when it came
// to its end before.
bool restore_until_killed(const NodeBackup& backup, const std::string& id, int call) {
    const pid_t child = ::fork();
    if (child == 0) {
        RestoreCallbacks callbacks;
        callbacks.interrupt = [&] {
            if (--call == 0) {
                ::kill(::getpid(), SIGKILL);
            }
        };
        backup.restore(id, {.durable = false}, callbacks);
        ::_exit(0);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    return WIFSIGNALED(status);
}

// What one leaves that ended right before it would have given the data directory its name.
void leave_half_published(const NodeBackup& backup, bool flags, bool configuration) {
    fs::create_directories(staging(backup) / "data");
    write_file(staging(backup) / "restore", "");
    write_file(staging(backup) / "publishing", "");
    write_file(staging(backup) / "data/schema.DAT", "of the first");
    const std::string target = backup.target();
    write_file(flags ? Path(target + "-feature_flags") : staging(backup) / "feature_flags",
               "first");
    const Path place =
        configuration ? Path(target + "-configuration") : staging(backup) / "configuration";
    fs::create_directory(place);
    write_file(place / "rabbitmq.conf", "first");
}

}  // namespace

TEST_CASE("killed at any point, and then whole") {
    NodeBackup backup;
    const std::string id = restore_test::with_node_files(backup).write();
    backup.restore(id);
    const auto whole = contents(backup);
    int call = 1;
    for (bool killed = true; killed; ++call) {
        for (const std::string& name : backup.around()) {
            fs::remove_all(backup.parent() / name);
        }
        killed = restore_until_killed(backup, id, call);
        CHECK(backup.around() == (killed ? Names{"rabbit@here.restoring~"} : only_the_node));
        if (killed) {
            backup.restore(id, {.durable = false});
        }
        CHECK(contents(backup) == whole);
    }
    CHECK(call > 20);
}

TEST_CASE("killed between the names that it gave") {
    NodeBackup backup;
    const std::string id = restore_test::with_node_files(backup).write();
    for (const bool configuration : {false, true}) {
        leave_half_published(backup, true, configuration);
        CHECK_FALSE(fs::exists(backup.target()));
        backup.restore(id);
        CHECK(backup.around() == only_the_node);
        CHECK(read_file(backup.target().string() + "-feature_flags") == "[].\n");
        for (const std::string& name : backup.around()) {
            fs::remove_all(backup.parent() / name);
        }
    }
}

TEST_CASE("what a node has begun to use is not taken for the rest of a restore") {
    NodeBackup backup;
    const std::string id = restore_test::with_node_files(backup).write();
    leave_half_published(backup, true, true);
    fs::create_directory(backup.target());
    write_file(backup.target() / "schema.DAT", "of a new node");
    CHECK(error_of([&] { backup.restore(id); }).code() == ErrorCode::usage);
    CHECK(read_file(backup.target().string() + "-feature_flags") == "first");
    CHECK(backup.around() == only_the_node);
}

TEST_CASE("a restore at work is left alone") {
    NodeBackup backup;
    const std::string id = restore_test::with_node_files(backup).write();
    bool tried = false;
    RestoreCallbacks callbacks;
    callbacks.interrupt = [&] {
        if (!tried) {
            tried = true;
            const Error error = error_of([&] { backup.restore(id); });
            CHECK(error.code() == ErrorCode::failed);
            CHECK(has(error.what(), "another restore"));
            CHECK(fs::exists(staging(backup) / "data"));
        }
    };
    backup.restore(id, {}, callbacks);
    CHECK(tried);
    CHECK(backup.around() == only_the_node);
}

TEST_CASE("a directory of that name that no restore made is left alone") {
    NodeBackup backup;
    const std::string id = restore_test::with_node_files(backup).write();
    fs::create_directory(staging(backup));
    SECTION("empty: a restore had just made it") {
        backup.restore(id);
        CHECK(backup.around() == only_the_node);
    }
    SECTION("with something in it") {
        write_file(staging(backup) / "precious", "");
        CHECK(has(error_of([&] { backup.restore(id); }).what(), "is in the way"));
        CHECK(fs::exists(staging(backup) / "precious"));
    }
}

TEST_CASE("what was cut off is removed even where directories cannot be written to") {
    NodeBackup backup;
    const std::string id = restore_test::with_node_files(backup).write();
    fs::create_directories(staging(backup) / "data/closed/directory");
    write_file(staging(backup) / "restore", "");
    write_file(staging(backup) / "data/closed/file", "");
    fs::permissions(staging(backup) / "data/closed/directory", fs::perms::none);
    fs::permissions(staging(backup) / "data/closed", fs::perms::none);
    backup.restore(id);
    CHECK(backup.around() == only_the_node);
}

TEST_CASE("names that cannot be given are given back") {
    NodeBackup backup;
    const std::string id = restore_test::with_node_files(backup).write();
    fs::create_directory(backup.target());
    write_file(backup.target() / "precious", "");
    // It appears when all is written, as nothing that the restore looks for.
    RestoreCallbacks callbacks;
    callbacks.progress = [&](std::uint64_t done, std::uint64_t total) {
        const Path flags = staging(backup) / "feature_flags";
        if (done == total && fs::exists(flags)) {
            fs::remove(staging(backup) / "data/schema.DAT");
            fs::remove_all(staging(backup) / "data");
        }
    };
    CHECK_THROWS_AS(backup.restore(id, {.force = true}, callbacks), std::exception);
    CHECK(backup.around() == Names{"rabbit@here"});
    CHECK(fs::exists(backup.target() / "precious"));
}
