// The story of a backup with a fault at every place where one can strike: of the file system, of
// the plugin, of the operator.
#include "sidecar/engine/backup.hpp"

#include "sidecar/definitions/snapshot_reader.hpp"
#include "sidecar/engine/stored_snapshot.hpp"
#include "sidecar/repository/verify.hpp"
#include "tests/engine/plugin_double.hpp"
#include "tests/repository/faulty_file_system.hpp"
#include "tests/repository/memory_file_system.hpp"

#include <catch2/catch.hpp>

#include <cerrno>

using namespace hot_backup;
using namespace engine_test;
using repository_test::FaultyFileSystem;
using repository_test::MemoryFileSystem;

namespace {

const std::string directory = "/repository";

BackupResult back_up_with(Behaviour behaviour, FileSystem& files,
                          const std::shared_ptr<Record>& record,
                          const std::function<void()>& interrupt = {}) {
    Broker broker(std::make_unique<PluginDouble>(std::move(behaviour), record));
    broker.on_interrupt(interrupt);
    return back_up(broker, files, {.repository = directory}, {});
}

// Everything that is listed is whole.
std::size_t count_whole_backups(FileSystem& files) {
    if (!files.status(directory)) {
        return 0;
    }
    std::vector<std::string> ids;
    try {
        ids = Repository::open(files, directory).list();
    } catch (const Error& error) {
        // Not made yet, or the making was interrupted; anything else is a defect.
        REQUIRE(error.code() == ErrorCode::not_found);
    }
    for (const auto& id : ids) {
        const auto repository = Repository::open(files, directory);
        REQUIRE(verify_backup(repository, id).whole());
        StoredSnapshot snapshot(repository, id);
        REQUIRE(SnapshotIndex::scan(snapshot).items() == 7);
    }
    return ids.size();
}

// A backup after the fault: the repository is not worse for it, and nothing is left over.
void next_backup_works(FileSystem& files) {
    const auto before = count_whole_backups(files);
    const auto result = back_up_with(well_behaved(), files, std::make_shared<Record>());
    REQUIRE(count_whole_backups(files) == before + 1);
    const auto repository = Repository::open(files, directory);
    REQUIRE_FALSE(files.status(repository.directory() / "lock"));
    REQUIRE(files.list(repository.packs()).size() == before + 1);
    REQUIRE(files.list(repository.manifests()).size() == before + 1);
}

}  // namespace

TEST_CASE("a backup holds what the plugin said") {
    MemoryFileSystem files;
    const auto record = std::make_shared<Record>();
    const auto result = back_up_with(well_behaved(), files, record);

    CHECK(record->outcome == "done");
    CHECK(record->operations ==
          std::vector<std::string>{"job_begin", "describe", "statistics_stream", "checkpoint_begin",
                                   "stop", "checkpoint_stream", "checkpoint_end", "job_end"});
    REQUIRE(result.warnings.size() == 1);
    CHECK_THAT(result.warnings[0],
               Catch::Contains("advanced.config") && Catch::Contains("permission denied"));

    const auto repository = Repository::open(files, directory);
    auto manifest = repository.read_manifest(result.id);
    CHECK(manifest.summary() == result.summary);
    CHECK(manifest.summary().node == "rabbit@double");
    CHECK(
        manifest.summary().counts ==
        Counts{.vhosts = 2, .users = 1, .queues = 0, .exchanges = 0, .bindings = 0, .policies = 0});
    CHECK(manifest.summary().metadata.items == 7);
    CHECK(manifest.summary().metadata.skipped.size() == 1);
    std::vector<std::string> paths;
    while (const auto file = manifest.next_file()) {
        paths.push_back(file->path);
    }
    CHECK(paths == std::vector<std::string>{
                       "configuration/rabbitmq.conf", "data", "data/LATEST.LOG", "data/empty",
                       "data/msg_stores", "data/msg_stores/vhosts", "data/msg_stores/vhosts/1",
                       "data/msg_stores/vhosts/1/msg_store_persistent",
                       "data/msg_stores/vhosts/1/msg_store_persistent/0.rdq", "data/quorum",
                       "data/quorum/rabbit@double", "data/quorum/rabbit@double/00000001.wal",
                       "metadata/snapshot", "statistics/queues"});
    CHECK(count_whole_backups(files) == 1);
}

TEST_CASE("any single failing call of the file system ends in one error and no backup") {
    const bool first_backup = GENERATE(true, false);
    const int error_number = GENERATE(ENOSPC, EIO, EACCES);
    const bool lasting = GENERATE(false, true);
    bool struck = true;
    for (std::uint64_t at = 1; struck; ++at) {
        INFO("call " << at);
        MemoryFileSystem disk;
        if (!first_backup) {
            back_up_with(well_behaved(), disk, std::make_shared<Record>());
        }
        const std::size_t before = first_backup ? 0 : 1;
        FaultyFileSystem files(disk, {at, error_number, lasting});
        const auto record = std::make_shared<Record>();
        bool done = false;
        try {
            back_up_with(well_behaved(), files, record);
            done = true;
        } catch (const Error& error) {
            CHECK(error.code() == ErrorCode::failed);
            CHECK_FALSE(std::string(error.what()).empty());
            CHECK_FALSE(error.hint().empty());
        }
        struck = files.struck();
        REQUIRE(record->outcome == (done ? "done" : "failed"));
        const auto after = count_whole_backups(disk);
        if (done) {
            REQUIRE(after == before + 1);
        } else if (after != before) {
            // Published, and then the disk took no call any more, the one that removes it included.
            REQUIRE(lasting);
            REQUIRE(after == before + 1);
        }
        next_backup_works(disk);
    }
}

TEST_CASE("a connection that closes at any message leaves no backup") {
    const auto whole = std::make_shared<Record>();
    MemoryFileSystem unharmed;
    back_up_with(well_behaved(), unharmed, whole);
    // The last message is job_end: the backup is published by then.
    for (std::uint64_t at = 1; at < whole->received; ++at) {
        INFO("message " << at);
        MemoryFileSystem files;
        auto behaviour = well_behaved();
        behaviour.close_after = at;
        CHECK_THROWS_AS(back_up_with(behaviour, files, std::make_shared<Record>()), Error);
        REQUIRE(count_whole_backups(files) == 0);
        next_backup_works(files);
    }
}

TEST_CASE("a connection that closes at the last message leaves the backup, with a warning") {
    const auto whole = std::make_shared<Record>();
    MemoryFileSystem unharmed;
    back_up_with(well_behaved(), unharmed, whole);

    MemoryFileSystem files;
    auto behaviour = well_behaved();
    behaviour.close_after = whole->received;
    const auto result = back_up_with(behaviour, files, std::make_shared<Record>());
    CHECK(result.warnings.size() == 2);
    CHECK(count_whole_backups(files) == 1);
}

TEST_CASE("an interrupt at any message leaves no backup and is told as cancelled") {
    const auto whole = std::make_shared<Record>();
    MemoryFileSystem unharmed;
    back_up_with(well_behaved(), unharmed, whole);
    std::size_t cancelled = 0;
    for (std::uint64_t at = 2; at < whole->received; ++at) {
        INFO("message " << at);
        MemoryFileSystem files;
        const auto record = std::make_shared<Record>();
        bool interrupted = false;
        auto behaviour = well_behaved();
        behaviour.at_message = at;
        behaviour.then = [&] { interrupted = true; };
        const auto interrupt = [&] {
            if (interrupted) {
                throw Error(ErrorCode::interrupted, "interrupted");
            }
        };
        try {
            back_up_with(behaviour, files, record, interrupt);
            // Too late: nothing asked between the message and the publication.
            REQUIRE(count_whole_backups(files) == 1);
            continue;
        } catch (const Error& error) {
            CHECK(error.code() == ErrorCode::interrupted);
        }
        ++cancelled;
        if (!record->outcome.empty()) {
            CHECK(record->outcome == "cancelled");
        }
        REQUIRE(count_whole_backups(files) == 0);
        next_backup_works(files);
    }
    CHECK(cancelled >= 10);
}

TEST_CASE("an error of the plugin at any operation is the error of the backup") {
    for (const std::string operation :
         {"job_begin", "describe", "checkpoint_begin", "stop", "checkpoint_stream",
          "checkpoint_end", "statistics_stream"}) {
        INFO(operation);
        MemoryFileSystem files;
        auto behaviour = well_behaved();
        behaviour.refuse = operation;
        behaviour.refuse_code = "busy";
        try {
            back_up_with(behaviour, files, std::make_shared<Record>());
            FAIL("no error");
        } catch (const Error& error) {
            CHECK(error.code() == ErrorCode::failed);
            CHECK_THAT(error.what(), Catch::Contains("the double refuses"));
            CHECK(error.hint() == "Ask it nicely.");
        }
        CHECK(count_whole_backups(files) == 0);
        next_backup_works(files);
    }
}

TEST_CASE("a stream that is not what the protocol says leaves no backup") {
    MemoryFileSystem files;
    auto behaviour = well_behaved();
    SECTION("aborted") {
        behaviour.abort_stream = true;
    }
    SECTION("another number of items") {
        behaviour.items = 6;
    }
    SECTION("a payload that is no term") {
        behaviour.payloads.push_back("\x83l\x7f");
    }
    SECTION("an empty payload") {
        behaviour.payloads.emplace_back();
    }
    SECTION("a payload that is no list") {
        behaviour.payloads.push_back(
            "\x83"
            "a\x01");
    }
    SECTION("a payload with bytes after its term") {
        behaviour.payloads.push_back(behaviour.payloads.back() + "j");
    }
    SECTION("an item that is neither record nor deletion") {
        behaviour.payloads.push_back(payload_of({erlang::integer(5)}));
    }
    const auto record = std::make_shared<Record>();
    try {
        back_up_with(behaviour, files, record);
        FAIL("no error");
    } catch (const Error& error) {
        CHECK(error.code() == ErrorCode::failed);
    }
    CHECK(record->outcome == "failed");
    // The plugin need not find out by itself that nobody reads the checkpoint any more.
    REQUIRE(record->operations.size() >= 2);
    CHECK(record->operations.end()[-2] == "checkpoint_end");
    CHECK(record->operations.end()[-1] == "job_end");
    CHECK(count_whole_backups(files) == 0);
    next_backup_works(files);
}

TEST_CASE("a job that the plugin ordered ends, even if it did not begin") {
    MemoryFileSystem files;
    const auto record = std::make_shared<Record>();
    auto behaviour = well_behaved();
    bool cancelled = false;
    SECTION("refused") {
        behaviour.refuse = "job_begin";
    }
    SECTION("cancelled before the answer") {
        behaviour.at_message = 2;
        behaviour.then = [&] { cancelled = true; };
    }
    Broker broker(std::make_unique<PluginDouble>(behaviour, record), [&] {
        if (cancelled) {
            throw Error(ErrorCode::interrupted, "cancelled");
        }
    });
    CHECK_THROWS_AS(back_up(broker, files, {.repository = directory, .job = 7}, {}), Error);
    CHECK(record->outcome == (cancelled ? "cancelled" : "failed"));
    CHECK(count_whole_backups(files) == 0);
}

TEST_CASE("times that a repository cannot write down are no times of a backup") {
    MemoryFileSystem files;
    auto behaviour = well_behaved();
    SECTION("an instant beyond the year 9999") {
        behaviour.instant = erlang::integer(253'402'300'800'000'000);
        CHECK_THROWS_AS(back_up_with(behaviour, files, std::make_shared<Record>()), Error);
        CHECK(count_whole_backups(files) == 0);
    }
    SECTION("a file changed before 1970") {
        behaviour.mtime = erlang::Term(std::int64_t{-1});
        back_up_with(behaviour, files, std::make_shared<Record>());
        CHECK(count_whole_backups(files) == 1);
    }
    SECTION("a file changed beyond all years") {
        behaviour.mtime = erlang::integer(9'000'000'000'000'000'000);
        back_up_with(behaviour, files, std::make_shared<Record>());
        CHECK(count_whole_backups(files) == 1);
    }
}

TEST_CASE("a configuration file with a name that is not UTF-8 is a warning") {
    MemoryFileSystem files;
    auto behaviour = well_behaved();
    behaviour.role = "conf.d/\xff.conf";
    const auto result = back_up_with(behaviour, files, std::make_shared<Record>());
    CHECK(result.warnings.size() == 2);
    CHECK(count_whole_backups(files) == 1);
}

TEST_CASE("what fails without being an Error ends the job too") {
    MemoryFileSystem files;
    const auto record = std::make_shared<Record>();
    auto behaviour = well_behaved();
    behaviour.at_message = 5;
    behaviour.then = [] { throw std::bad_alloc(); };
    CHECK_THROWS_AS(back_up_with(behaviour, files, record), Error);
    CHECK(record->outcome == "failed");
    CHECK(count_whole_backups(files) == 0);
}

TEST_CASE("a plugin of another protocol version is refused with both lists") {
    MemoryFileSystem files;
    auto behaviour = well_behaved();
    behaviour.version = erlang::list({erlang::integer(9), erlang::integer(8)});
    try {
        back_up_with(behaviour, files, std::make_shared<Record>());
        FAIL("no error");
    } catch (const Error& error) {
        CHECK(error.code() == ErrorCode::unreachable);
        CHECK_THAT(error.what(), Catch::Contains("9") && Catch::Contains("1"));
        CHECK_FALSE(error.hint().empty());
    }
}

TEST_CASE("a backup of a locked repository says so to the plugin and to the operator") {
    MemoryFileSystem files;
    back_up_with(well_behaved(), files, std::make_shared<Record>());
    const Lock lock(files, Repository::open(files, directory).directory(), "delete");
    const auto record = std::make_shared<Record>();
    try {
        back_up_with(well_behaved(), files, record);
        FAIL("no error");
    } catch (const Error& error) {
        CHECK(error.code() == ErrorCode::locked);
    }
    CHECK(record->outcome == "failed");
}
