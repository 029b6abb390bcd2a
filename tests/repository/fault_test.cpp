// Fails every call to the file system, one after the other: each ends in one clear Error, no backup
// is listed that does not verify, the others stay whole, and the next run works and clears up.
#include "sidecar/repository/identifier.hpp"
#include "tests/harness/temp_dir.hpp"
#include "tests/repository/faulty_file_system.hpp"
#include "tests/repository/memory_file_system.hpp"
#include "tests/repository/sample.hpp"

#include <catch2/catch.hpp>
#include <cerrno>
#include <functional>

using namespace hot_backup;
using namespace repository_test;

namespace {

const Timestamp first_time = sample_time();
const Timestamp second_time = sample_time() + std::chrono::hours{1};
const Timestamp third_time = sample_time() + std::chrono::hours{2};

// Every backup listed is whole, and holds what was stored.
void require_whole(FileSystem& file_system, const Path& directory) {
    const Repository repository = Repository::open(file_system, directory);
    for (const std::string& id : repository.list()) {
        REQUIRE(verify_backup(repository, id).whole());
        REQUIRE(read_backup(repository, id) == sample_files());
    }
}

// Nothing is there that no backup needs.
void require_clean(FileSystem& file_system, const Path& directory) {
    const Repository repository = Repository::open(file_system, directory);
    std::set<std::string> expected;
    for (const std::string& id : repository.list()) {
        const ManifestReader manifest = repository.read_manifest(id);
        for (const PackSize& pack : manifest.summary().packs) {
            expected.insert(pack.name + ".pack");
        }
    }
    const auto packs = file_system.list(repository.packs());
    REQUIRE(std::set<std::string>(packs.begin(), packs.end()) == expected);
    REQUIRE(file_system.list(repository.manifests()).size() == repository.list().size());
    REQUIRE(file_system.list(directory) ==
            std::vector<std::string>{"manifests", "packs", "repository.json"});
}

// Runs `action` with a fault at its first call, its second call, and so on until it runs through
// without meeting one. `prepare` makes the disk that each run starts from; `check` looks at what is
// left, and hears whether an Error came.
void fail_every_call(const Fault& kind,
                     const std::function<void(const Fault&, bool& struck, bool& failed)>& run,
                     const std::function<void(bool failed)>& check) {
    for (std::uint64_t at = 1;; ++at) {
        Fault fault = kind;
        fault.at = at;
        bool struck = false;
        bool failed = false;
        CAPTURE(at, kind.error, kind.lasting);
        run(fault, struck, failed);
        check(failed);
        if (!struck) {
            REQUIRE_FALSE(failed);
            REQUIRE(at > 3);
            return;
        }
    }
}

// Runs `action` on a disk that fails. Anything but an Error that says where it happened ends the
// test.
void run_faulty(FileSystem& disk, const Fault& fault, bool& struck, bool& failed,
                const std::function<void(FileSystem&)>& action) {
    FaultyFileSystem faulty(disk, fault);
    try {
        action(faulty);
        failed = false;
    } catch (const Error& error) {
        failed = true;
        INFO(error.what());
        REQUIRE(has(error.what(), std::system_category().message(fault.error)));
        REQUIRE(has(error.what(), "/"));
        REQUIRE_FALSE(error.hint().empty());
        REQUIRE(error.code() == ErrorCode::failed);
    }
    struck = faulty.struck();
}

const std::vector<Fault> kinds = {{.error = EIO},
                                  {.error = ENOSPC},
                                  {.error = EDQUOT, .lasting = true},
                                  {.error = EIO, .lasting = true},
                                  {.error = EACCES}};

}  // namespace

TEST_CASE("a first backup meets a fault at every call") {
    for (const Fault& kind : kinds) {
        std::unique_ptr<MemoryFileSystem> disk;
        fail_every_call(
            kind,
            [&](const Fault& fault, bool& struck, bool& failed) {
                disk = std::make_unique<MemoryFileSystem>();
                run_faulty(*disk, fault, struck, failed, [](FileSystem& faulty) {
                    write_sample(Repository::open_or_create(faulty, "/r"), first_time);
                });
            },
            [&](bool failed) {
                if (failed && disk->status("/r/repository.json")) {
                    // Listed only if all failed from a point on at which the backup was complete.
                    require_whole(*disk, "/r");
                    const auto listed = Repository::open(*disk, "/r").list();
                    REQUIRE((listed.empty() || kind.lasting));
                }
                write_sample(Repository::open_or_create(*disk, "/r"), second_time);
                require_whole(*disk, "/r");
                require_clean(*disk, "/r");
            });
    }
}

TEST_CASE("a second backup meets a fault at every call") {
    for (const Fault& kind : kinds) {
        std::unique_ptr<MemoryFileSystem> disk;
        std::string first;
        fail_every_call(
            kind,
            [&](const Fault& fault, bool& struck, bool& failed) {
                disk = std::make_unique<MemoryFileSystem>();
                first = write_sample(Repository::open_or_create(*disk, "/r"), first_time);
                run_faulty(*disk, fault, struck, failed, [](FileSystem& faulty) {
                    write_sample(Repository::open(faulty, "/r"), second_time);
                });
            },
            [&](bool failed) {
                const Repository repository = Repository::open(*disk, "/r");
                const auto ids = repository.list();
                REQUIRE(ids.front() == first);
                REQUIRE((ids.size() == 1 || !failed || kind.lasting));
                REQUIRE((ids.size() == 2 || failed));
                require_whole(*disk, "/r");
                write_sample(repository, third_time);
                REQUIRE(repository.list().size() == ids.size() + 1);
                require_whole(*disk, "/r");
                require_clean(*disk, "/r");
            });
    }
}

TEST_CASE("a deletion meets a fault at every call") {
    for (const Fault& kind : kinds) {
        std::unique_ptr<MemoryFileSystem> disk;
        std::string first;
        std::string second;
        fail_every_call(
            kind,
            [&](const Fault& fault, bool& struck, bool& failed) {
                disk = std::make_unique<MemoryFileSystem>();
                const Repository repository = Repository::open_or_create(*disk, "/r");
                first = write_sample(repository, first_time);
                second = write_sample(repository, second_time);
                run_faulty(*disk, fault, struck, failed, [&](FileSystem& faulty) {
                    const Repository again = Repository::open(faulty, "/r");
                    const Lock lock(faulty, "/r", "delete");
                    again.remove(lock, first);
                });
            },
            [&](bool failed) {
                const Repository repository = Repository::open(*disk, "/r");
                const auto ids = repository.list();
                REQUIRE(ids.back() == second);
                REQUIRE((ids.size() == 1 || failed));
                require_whole(*disk, "/r");
                write_sample(repository, third_time);
                require_whole(*disk, "/r");
                require_clean(*disk, "/r");
            });
    }
}

TEST_CASE("a verification meets a fault at every call") {
    MemoryFileSystem disk;
    const std::string id = write_sample(Repository::open_or_create(disk, "/r"));
    for (const Fault& kind : kinds) {
        for (std::uint64_t at = 1;; ++at) {
            Fault fault = kind;
            fault.at = at;
            FaultyFileSystem faulty(disk, fault);
            bool found = false;
            try {
                const Repository repository = Repository::open(faulty, "/r");
                found = !verify_backup(repository, id).whole();
                // A disk that cannot read is damage; a reader that may not is none.
                REQUIRE((!found || kind.error == EIO));
            } catch (const Error& error) {
                REQUIRE(error.code() == ErrorCode::failed);
                found = true;
            }
            CAPTURE(at, kind.error);
            REQUIRE(found == faulty.struck());
            if (!faulty.struck()) {
                break;
            }
        }
    }
}

TEST_CASE("a backup on a real disk meets a fault at every call") {
    std::unique_ptr<harness::TempDir> place;
    FileSystem& disk = posix_file_system();
    fail_every_call(
        {.error = EIO},
        [&](const Fault& fault, bool& struck, bool& failed) {
            place = std::make_unique<harness::TempDir>();
            run_faulty(disk, fault, struck, failed, [&](FileSystem& faulty) {
                write_sample(Repository::open_or_create(faulty, *place / "r"), first_time);
            });
        },
        [&](bool) {
            write_sample(Repository::open_or_create(disk, *place / "r"), second_time);
            require_whole(disk, *place / "r");
            require_clean(disk, *place / "r");
        });
}

TEST_CASE("a backup that is given up leaves nothing") {
    MemoryFileSystem disk;
    const Repository repository = Repository::open_or_create(disk, "/r");
    {
        const Lock lock(disk, "/r", "create");
        BackupWriter writer(repository, lock, first_time, sample_options());
        auto file = writer.add_file("metadata/snapshot", "metadata");
        file.append(sample_bytes(1000));
        CHECK(error_of([&] { writer.publish(sample_summary()); }).code() == ErrorCode::failed);
        CHECK(error_of([&] { file.append("x"); }).code() == ErrorCode::failed);
    }
    CHECK(repository.list().empty());
    require_clean(disk, "/r");
}

TEST_CASE("a backup in which a file was given up is not published") {
    MemoryFileSystem disk;
    const Repository repository = Repository::open_or_create(disk, "/r");
    const Lock lock(disk, "/r", "create");
    BackupWriter writer(repository, lock, first_time, sample_options());
    {
        auto file = writer.add_file("metadata/snapshot", "metadata");
        file.append("half");
    }
    CHECK(has(error_of([&] { writer.publish(sample_summary()); }).what(), "was given up"));
    CHECK(repository.list().empty());
}

TEST_CASE("only good names are stored, and each once") {
    for (const char* path : {"", "/etc/passwd", "a//b", "a/", ".", "..", "a/../b", "./a", "a/.",
                             "\xff\xfe", "taken"}) {
        MemoryFileSystem disk;
        const Repository repository = Repository::open_or_create(disk, "/r");
        const Lock lock(disk, "/r", "create");
        BackupWriter writer(repository, lock);
        writer.add_file("taken", "metadata").close();
        CAPTURE(path);
        CHECK(has(error_of([&] { writer.add_file(path, "metadata"); }).what(), "cannot store"));
    }
    CHECK_FALSE(is_path_in_backup(std::string_view("a\0b", 3)));
    CHECK(is_path_in_backup("a/..b/c..d/\xc3\xa4"));
}

TEST_CASE("a writer whose lock was removed publishes nothing and removes nothing of others") {
    MemoryFileSystem disk;
    const Repository repository = Repository::open_or_create(disk, "/r");
    std::string second;
    {
        const Lock lock(disk, "/r", "create");
        BackupWriter writer(repository, lock, first_time, sample_options());
        auto file = writer.add_file("metadata/snapshot", "metadata");
        file.append(sample_bytes(1000));
        file.close();
        disk.remove("/r/lock");
        // The next writer takes the packs of the first for left over ones.
        second = write_sample(repository, second_time);
        const Error error = error_of([&] { writer.publish(sample_summary()); });
        CHECK(error.code() == ErrorCode::locked);
        CHECK(has(error.hint(), "/r/lock"));
    }
    CHECK(repository.list() == std::vector{second});
    require_whole(disk, "/r");
    write_sample(repository, third_time);
    require_clean(disk, "/r");
}

TEST_CASE("who has lost the lock sweeps and deletes nothing") {
    MemoryFileSystem disk;
    const Repository repository = Repository::open_or_create(disk, "/r");
    const std::string first = write_sample(repository, first_time);
    disk.put(repository.pack_path(pack_name("20301122T073241.512Z", 1)), "being written");
    disk.put(repository.manifests() / "20301122T073241.512Z.manifest.tmp", "being written");
    const auto before = disk.files();
    const Lock lock(disk, "/r", "delete");
    disk.remove("/r/lock");
    CHECK(error_of([&] { repository.sweep(lock); }).code() == ErrorCode::locked);
    CHECK(error_of([&] { repository.remove(lock, first); }).code() == ErrorCode::locked);
    CHECK(disk.files() == before);
}

TEST_CASE("who loses the lock during a sweep removes no further pack") {
    MemoryFileSystem disk;
    const Repository repository = Repository::open_or_create(disk, "/r");
    disk.put(repository.pack_path(pack_name("20301122T073241.512Z", 1)), "left over");
    disk.put(repository.pack_path(pack_name("20301122T073241.512Z", 2)), "left over");
    // Its one removal is that of the first pack.
    FaultyFileSystem slow(
        disk, {.at = 1, .calls = {Call::remove}, .meanwhile = [&] { disk.remove("/r/lock"); }});
    const Repository slowly = Repository::open(slow, "/r");
    const Lock lock(slow, "/r", "delete");
    CHECK(error_of([&] { slowly.sweep(lock); }).code() == ErrorCode::locked);
    CHECK(disk.list(repository.packs()).size() == 1);
}

TEST_CASE("a backup whose manifest this program could not read is not published") {
    const Timestamp beyond = *parse_timestamp("9999-12-31T23:59:59Z") + std::chrono::hours{1};
    MemoryFileSystem disk;
    const Repository repository = Repository::open_or_create(disk, "/r");
    Summary summary = sample_summary();
    Origin origin{"/etc/rabbitmq/rabbitmq.conf", 0640, first_time};
    SECTION("a time of the summary") {
        summary.instant = beyond;
    }
    SECTION("a time of a file") {
        origin.mtime = beyond;
    }
    SECTION("the permissions of a file") {
        origin.mode = 0100640;
    }
    {
        const Lock lock(disk, "/r", "create");
        BackupWriter writer(repository, lock, first_time);
        writer.add_file("configuration/rabbitmq.conf", "configuration", origin).close();
        const Error error = error_of([&] { writer.publish(summary); });
        CHECK(error.code() == ErrorCode::failed);
        CHECK(has(error.what(), "is not published"));
        CHECK_FALSE(error.hint().empty());
    }
    CHECK(repository.list().empty());
    require_clean(disk, "/r");
}

TEST_CASE("who publishes can answer others between the syncs") {
    MemoryFileSystem disk;
    const Repository repository = Repository::open_or_create(disk, "/r");
    FaultyFileSystem counter(disk, {.at = 0, .calls = {Call::sync, Call::sync_directory}});
    const Repository counted = Repository::open(counter, "/r");
    const Lock lock(disk, "/r", "create");
    BackupWriter writer(counted, lock, first_time);
    auto file = writer.add_file("metadata/snapshot", "metadata");
    file.append("content");
    file.close();
    std::vector<std::uint64_t> syncs;
    const std::uint64_t before = counter.counted();
    SECTION("after each sync but the last, and before the backup can be seen") {
        writer.publish(sample_summary(), first_time, [&] {
            syncs.push_back(counter.counted() - before);
            CHECK(repository.list().empty());
        });
        // Pack, packs, manifest; then manifests.
        CHECK(syncs == std::vector<std::uint64_t>{1, 2, 3});
        CHECK(counter.counted() - before == 4);
        CHECK(verify_backup(repository, writer.id()).whole());
    }
    SECTION("and give up there") {
        const auto give_up = [] { throw Error(ErrorCode::interrupted, "interrupted", "Again."); };
        CHECK(error_of([&] { writer.publish(sample_summary(), first_time, give_up); }).code() ==
              ErrorCode::interrupted);
        CHECK(repository.list().empty());
    }
}
