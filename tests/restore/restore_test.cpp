// A node's directory is made from a backup: all of it, where it belongs, or nothing.
#include "sidecar/restore/restore.hpp"

#include "erlang_port/error.hpp"
#include "tests/repository/sample.hpp"
#include "tests/restore/node_backup.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace hot_backup;
using harness::read_file;
using harness::write_file;
using repository_test::error_of;
using repository_test::has;
using restore_test::Names;
using restore_test::NodeBackup;
using restore_test::only_the_node;
using restore_test::original;
namespace fs = std::filesystem;

namespace {

std::string without_time(std::string name) {
    const auto at = name.find(".before-restore-");
    return at == std::string::npos ? name : name.substr(0, at) + ".before-restore";
}

Names without_times(Names names) {
    for (std::string& name : names) {
        name = without_time(name);
    }
    return names;
}

unsigned mode_of(const Path& path) {
    return static_cast<unsigned>(fs::symlink_status(path).permissions());
}

struct stat status_of(const Path& path) {
    struct stat status {};
    REQUIRE(::lstat(path.c_str(), &status) == 0);
    return status;
}

}  // namespace

TEST_CASE("files, directories and links are restored with their modes") {
    NodeBackup backup;
    backup.directory("data/directory", 0500)
        .file("data/directory/in extents", repository_test::sample_bytes(4321), 0640)
        .file("data/directory/empty", "", 0600)
        .directory("data/no entries", 0770)
        .link("data/link", original + "/directory/empty")
        .link("data/relative", "directory")
        .file("feature_flags", "[].\n", 0644)
        .configuration("rabbitmq.conf", "a = b\n")
        .configuration("conf.d/1.conf", "c = d\n");
    const std::string id = backup.write();
    const RestoredNode node = backup.restore(id);

    const Path target = backup.target();
    CHECK(node.node == "rabbit@here");
    CHECK(node.rabbitmq_version == "3.10.8");
    CHECK(node.data_directory == target);
    CHECK(node.original_data_directory == original);
    CHECK(node.feature_flags == Path(target.string() + "-feature_flags"));
    CHECK(node.configuration == Path(target.string() + "-configuration"));
    CHECK(node.moved_parts.empty());
    CHECK(node.moved_aside.empty());
    CHECK(node.lost.empty());
    CHECK(node.files == 5);
    CHECK(node.bytes == 4321 + 4 + 6 + 6);

    CHECK(backup.around() == only_the_node);
    CHECK(read_file(target / "directory/in extents") == repository_test::sample_bytes(4321));
    CHECK(fs::is_regular_file(target / "directory/empty"));
    CHECK(fs::is_empty(target / "no entries"));
    CHECK(fs::read_symlink(target / "link") == target / "directory/empty");
    CHECK(fs::read_symlink(target / "relative") == "directory");
    CHECK(read_file(*node.feature_flags) == "[].\n");
    CHECK(read_file(*node.configuration / "conf.d/1.conf") == "c = d\n");
    CHECK_FALSE(fs::exists(target / "metadata"));
    CHECK(mode_of(target) == 0750);
    CHECK(mode_of(target / "directory") == 0500);
    CHECK(mode_of(target / "directory/in extents") == 0640);
    CHECK(mode_of(target / "directory/empty") == 0600);
    CHECK(mode_of(target / "no entries") == 0770);
    CHECK(mode_of(*node.feature_flags) == 0644);
    CHECK(mode_of(*node.configuration / "rabbitmq.conf") == 0644);
    fs::permissions(target / "directory", fs::perms::owner_all);
}

TEST_CASE("a link out of the restored directory is refused, or left out and named") {
    for (const std::string target : {"/ssd/msg_stores", "../other", "directory/../../other"}) {
        NodeBackup backup;
        backup.directory("data/directory").link("data/directory/link", "../file");
        backup.link("data/msg_stores", target).file("data/file", "x");
        const std::string id = backup.write();
        CHECK(has(error_of([&] { backup.restore(id); }).what(),
                  "msg_stores: it is a symbolic link out of the restored directory, to " + target));
        CHECK(backup.around().empty());
        const auto node = backup.restore(id, {.salvage = true});
        REQUIRE(node.lost.size() == 1);
        CHECK(node.lost[0].path == "data/msg_stores");
        CHECK_FALSE(fs::is_symlink(backup.target() / "msg_stores"));
        CHECK(read_file(backup.target() / "directory/link") == "x");
    }
}

TEST_CASE("nothing is written through a link") {
    NodeBackup backup;
    const harness::TempDir elsewhere;
    // RabbitMQ makes no such thing, and neither does a capture: a link that has files in it.
    backup.link("data/way", elsewhere.path()).file("data/way/file", "x");
    const std::string id = backup.write();
    for (const bool salvage : {false, true}) {
        CHECK_THROWS_AS(backup.restore(id, {.salvage = salvage}), Error);
        CHECK(fs::is_empty(elsewhere.path()));
        CHECK(backup.around().empty());
    }
}

TEST_CASE("large files are written by several threads and are whole") {
    NodeBackup backup;
    backup.extent_size = std::size_t{1} << 20;
    const std::string content = repository_test::sample_bytes(std::size_t{150} << 20);
    backup.file("data/large", content);
    const std::string id = backup.write();
    std::uint64_t last = 0;
    RestoreCallbacks callbacks;
    callbacks.progress = [&](std::uint64_t done, std::uint64_t total) {
        CHECK(total == content.size());
        CHECK(done >= last);
        last = done;
    };
    backup.restore(id, {.durable = false}, callbacks);
    CHECK(last == content.size());
    CHECK((read_file(backup.target() / "large") == content));
}

TEST_CASE("directories that the node had elsewhere come to their default place") {
    NodeBackup backup;
    const std::string config = "#{data_dir => \"/fast/quorum/rabbit@here\"}.";
    backup.directory("data/quorum").file("data/quorum/stale", "of an earlier configuration");
    backup.root("quorum", "/fast/quorum")
        .directory("quorum/rabbit@here")
        .directory("quorum/rabbit@here/UID")
        .file("quorum/rabbit@here/UID/config", config)
        .link("quorum/link", "/fast/quorum/rabbit@here")
        .root("stream", "/large/stream")
        .file("stream/segment", "chunks");
    const RestoredNode node = backup.restore(backup.write());

    const Path quorum = backup.target() / "quorum";
    CHECK(read_file(quorum / "rabbit@here/UID/config") ==
          "#{data_dir => \"" + (quorum / "rabbit@here").string() + "\"}.");
    CHECK(fs::read_symlink(quorum / "link") == quorum / "rabbit@here");
    CHECK(read_file(backup.target() / "stream/segment") == "chunks");
    CHECK_FALSE(fs::exists(quorum / "stale"));
    REQUIRE(node.moved_parts.size() == 2);
    CHECK(node.moved_parts[0].role == "quorum");
    CHECK(node.moved_parts[0].from == "/fast/quorum");
    CHECK(node.moved_parts[0].to == quorum);
    CHECK(node.moved_parts[1].role == "stream");
}

TEST_CASE("a backup without the node's files is refused, and one with unknown ones") {
    NodeBackup backup;
    const auto bare = Repository::open_or_create(posix_file_system(), backup.parent() / "bare");
    const std::string sample = repository_test::write_sample(bare);
    const Error error = error_of([&] { restore_node(bare, sample, {.target = backup.target()}); });
    CHECK(error.code() == ErrorCode::failed);
    CHECK(has(error.what(), "holds no files of the node"));

    backup.root("tiered", "/tiered").file("tiered/file", "");
    const std::string id = backup.write();
    const Error unknown = error_of([&] { backup.restore(id); });
    CHECK(has(unknown.what(), "tiered"));
    CHECK(backup.around() == Names{"bare"});
    CHECK(error_of([&] { backup.restore("20200101T000000.000Z"); }).code() == ErrorCode::not_found);
}

TEST_CASE("an empty directory is replaced, a full one only by force and never deleted") {
    NodeBackup backup;
    const std::string id = restore_test::with_node_files(backup).write();
    fs::create_directory(backup.target());
    SECTION("empty") {
        CHECK(backup.restore(id).moved_aside.empty());
        CHECK(backup.around() == only_the_node);
    }
    SECTION("full") {
        write_file(backup.target() / "precious", "messages");
        const Error error = error_of([&] { backup.restore(id); });
        CHECK(error.code() == ErrorCode::usage);
        CHECK(has(error.what(), "is not empty"));
        CHECK(has(error.hint(), "--force"));
        CHECK(backup.around() == Names{"rabbit@here"});
        // It may be anybody's, the directory around all nodes too.
        CHECK(has(error_of([&] { backup.restore(id, {.force = true}); }).what(),
                  "not the data directory of a node"));
        CHECK(backup.around() == Names{"rabbit@here"});

        fs::create_directory(backup.target() / "msg_stores");
        const RestoredNode node = backup.restore(id, {.force = true});
        REQUIRE(node.moved_aside.size() == 1);
        CHECK(read_file(node.moved_aside[0] / "precious") == "messages");
        CHECK(without_times(backup.around()) == Names{"rabbit@here", "rabbit@here-configuration",
                                                      "rabbit@here-feature_flags",
                                                      "rabbit@here.before-restore"});
        // Again within the same second.
        CHECK(backup.restore(id, {.force = true}).moved_aside.size() == 3);
        CHECK(backup.restore(id, {.force = true}).moved_aside.size() == 3);
        CHECK(backup.around().size() == 3 + 1 + 3 + 3);
    }
    SECTION("what lies beside it is in the way, too") {
        write_file(backup.target().string() + "-feature_flags", "of another node");
        CHECK(has(error_of([&] { backup.restore(id); }).what(), "-feature_flags is there already"));
        const RestoredNode node = backup.restore(id, {.force = true});
        CHECK(node.data_directory == backup.target());
        REQUIRE(node.moved_aside.size() == 1);
        CHECK(read_file(node.moved_aside[0]) == "of another node");
        CHECK(read_file(*node.feature_flags) == "[].\n");
    }
    SECTION("a file") {
        fs::remove(backup.target());
        write_file(backup.target(), "a file");
        for (const bool force : {false, true}) {
            CHECK(error_of([&] { backup.restore(id, {.force = force}); }).code() ==
                  ErrorCode::usage);
        }
        CHECK(read_file(backup.target()) == "a file");
    }
}

TEST_CASE("targets that cannot be are refused before anything is done") {
    NodeBackup backup;
    const std::string id = restore_test::with_node_files(backup).write();
    const auto refused = [&](const Path& target) {
        const Error error =
            error_of([&] { backup.restore(id, {.target = target, .force = true}); });
        CHECK(error.code() == ErrorCode::usage);
        CHECK_FALSE(error.hint().empty());
        return std::string(error.what());
    };
    CHECK(has(refused(backup.parent() / "missing/rabbit@here"), "there is no directory"));
    fs::create_directory(backup.parent() / "real");
    fs::create_directory_symlink(backup.parent() / "real", backup.parent() / "link");
    CHECK(has(refused(backup.parent() / "link"), "symbolic link"));
    CHECK(has(refused(backup.repository().directory() / "node"), "lie within each other"));
    CHECK(has(refused(backup.repository().directory()), "lie within each other"));
    CHECK(has(refused(backup.repository().directory().parent_path()), "lie within each other"));
    CHECK(has(refused("/proc"), "mount point"));
    CHECK(has(refused("/"), "no directory to restore to"));
    CHECK(backup.around() == Names{"link", "real"});
}

TEST_CASE("a target by way of a symbolic link, or relative, is what it leads to") {
    NodeBackup backup;
    const std::string id =
        backup.file("data/file", "x").link("data/link", original + "/file").write();
    fs::create_directory(backup.parent() / "real");
    fs::create_directory_symlink(backup.parent() / "real", backup.parent() / "way");
    const RestoredNode node =
        backup.restore(id, {.target = (backup.parent() / "way/../way/node").string() + "/"});
    CHECK(node.data_directory == backup.parent() / "way/node");
    CHECK(read_file(backup.parent() / "real/node/link") == "x");
}

TEST_CASE("damage leaves nothing at the target") {
    NodeBackup backup;
    const std::string id = restore_test::with_node_files(backup).write();
    const std::string file = "data/quorum/rabbit@here/00000002.wal";
    backup.damage(id, file, 1);
    fs::create_directory(backup.target());
    const Error error = error_of([&] { backup.restore(id); });
    CHECK(error.code() == ErrorCode::damaged);
    CHECK(has(error.what(), file));
    CHECK(has(error.hint(), "--salvage"));
    CHECK(backup.around() == Names{"rabbit@here"});
    CHECK(fs::is_empty(backup.target()));
}

TEST_CASE("an interrupted restore leaves nothing, whenever that is") {
    NodeBackup backup;
    const std::string id = restore_test::with_node_files(backup).write();
    int calls = 0;
    RestoreCallbacks callbacks;
    callbacks.interrupt = [&] { ++calls; };
    backup.restore(id, {}, callbacks);
    REQUIRE(calls > 20);
    for (int last = 1; last <= calls - 20; ++last) {
        NodeBackup again;
        const std::string same = restore_test::with_node_files(again).write();
        int left = last;
        callbacks.interrupt = [&] {
            if (--left == 0) {
                throw Error(ErrorCode::interrupted, "interrupted");
            }
        };
        CHECK(error_of([&] { again.restore(same, {.durable = false}, callbacks); }).code() ==
              ErrorCode::interrupted);
        CHECK(again.around().empty());
    }
}

TEST_CASE("who owns the files") {
    NodeBackup backup;
    const std::string id = restore_test::with_node_files(backup).write();
    const Error error = error_of([&] { backup.restore(id, {.owner = "no such user"}); });
    CHECK(error.code() == ErrorCode::usage);
    CHECK(has(error.what(), "no such user"));
    CHECK(error_of([&] { backup.restore(id, {.owner = "0:no such group"}); }).code() ==
          ErrorCode::usage);
    if (::geteuid() != 0) {
        CHECK(has(error_of([&] { backup.restore(id, {.owner = "root"}); }).what(), "only root"));
        backup.restore(id, {.owner = std::to_string(::geteuid())});
        return;
    }
    const passwd* nobody = ::getpwnam("nobody");
    REQUIRE(nobody != nullptr);
    const uid_t user = nobody->pw_uid;
    const gid_t group = nobody->pw_gid;
    const auto check = [&](uid_t expected_user, gid_t expected_group) {
        std::size_t seen = 0;
        for (const auto& entry : fs::recursive_directory_iterator(backup.parent())) {
            if (!has(entry.path(), "before-restore")) {
                INFO(entry.path());
                CHECK(status_of(entry.path()).st_uid == expected_user);
                CHECK(status_of(entry.path()).st_gid == expected_group);
                ++seen;
            }
        }
        CHECK(seen > 40);
    };
    SECTION("by name, with the own group") {
        backup.restore(id, {.owner = "nobody"});
        check(user, group);
    }
    SECTION("by number, with a group") {
        backup.restore(id, {.owner = "4711:0"});
        check(4711, 0);
    }
    SECTION("of the directory around it") {
        REQUIRE(::chown(backup.parent().c_str(), user, group) == 0);
        backup.restore(id);
        check(user, group);
    }
    SECTION("of what is replaced") {
        fs::create_directory(backup.target());
        REQUIRE(::chown(backup.target().c_str(), 4712, 4713) == 0);
        backup.restore(id);
        check(4712, 4713);
    }
}

TEST_CASE("the message store of an affected version is repaired") {
    // A false length, 104, that leads to four bytes before the end.
    const std::string store =
        std::string(50, 'm') + std::string(7, '\0') + 'h' + std::string(100, 'm');
    for (const auto& [version, repaired] : {std::pair{"4.0.5", true}, std::pair{"3.10.8", false}}) {
        NodeBackup backup;
        backup.summary.rabbitmq_version = version;
        const std::string id = backup.directory("data/msg_stores")
                                   .file("data/msg_stores/0.rdq", store)
                                   .file("data/0.rdq", store)
                                   .write();
        backup.restore(id);
        const std::string restored = read_file(backup.target() / "msg_stores/0.rdq");
        CHECK(restored.starts_with(store));
        CHECK((restored.size() > store.size()) == repaired);
        CHECK(read_file(backup.target() / "0.rdq") == store);
    }
}
