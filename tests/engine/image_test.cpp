// How the engine comes to an exact image: what it does when a stop was of no use, and when it gives
// up. The files are real, the plugin is a double.
#include "sidecar/engine/backup.hpp"
#include "sidecar/engine/node_files.hpp"

#include "sidecar/repository/file_reader.hpp"
#include "tests/engine/plugin_double.hpp"
#include "tests/harness/temp_dir.hpp"
#include "tests/repository/memory_file_system.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <fstream>
#include <thread>

using namespace hot_backup;
using namespace engine_test;
using repository_test::MemoryFileSystem;

namespace {

const std::string directory = "/repository";

BackupResult back_up_with(Behaviour behaviour, FileSystem& files,
                          const std::shared_ptr<Record>& record,
                          const std::string& repository = directory) {
    Broker broker(std::make_unique<PluginDouble>(std::move(behaviour), record));
    return back_up(broker, files, {.repository = repository}, {});
}

std::string content_of(FileSystem& files, const std::string& id, const std::string& path) {
    const auto repository = Repository::open(files, directory);
    FileReader reader(repository, repository.find_file(id, path), id);
    std::string content;
    while (const auto piece = reader.next()) {
        content += *piece;
    }
    return content;
}

std::size_t count_of(const std::vector<std::string>& operations, const std::string& name) {
    return static_cast<std::size_t>(std::count(operations.begin(), operations.end(), name));
}

// The error that a backup ends with; nothing of it is listed.
Error failure_of(const Behaviour& behaviour, const std::string& repository = directory) {
    MemoryFileSystem files;
    try {
        back_up_with(behaviour, files, std::make_shared<Record>(), repository);
    } catch (const Error& error) {
        if (files.status(directory)) {
            CHECK(Repository::open(files, directory).list().empty());
        }
        CHECK_FALSE(error.hint().empty());
        return error;
    }
    FAIL("no error");
    throw std::logic_error("not reached");
}

}  // namespace

TEST_CASE("the node's files are in the backup, with the pause that they cost") {
    MemoryFileSystem files;
    const auto result = back_up_with(well_behaved(), files, std::make_shared<Record>());
    for (const auto& [name, content] : sample_files()) {
        INFO(name);
        CHECK(content_of(files, result.id, "data/" + name) == content);
    }
    REQUIRE(result.summary.cut);
    CHECK(result.summary.cut->acquisition_us == 900);
    CHECK(result.summary.cut->hold_us == 2100);
    CHECK(result.summary.cut->pause_us == 3000);
    CHECK(result.summary.cut->attempts == 1);
    CHECK(result.summary.cut->passes == 1);
}

TEST_CASE("what is written up to the stop is in the image") {
    harness::TempDir node;
    const auto wal = node / "quorum/n/1.wal";
    std::filesystem::create_directories(wal.parent_path());
    harness::write_file(wal, "begin ");
    auto behaviour = well_behaved();
    behaviour.data_dir = node.path();
    behaviour.before_stop = [&] {
        std::ofstream(wal, std::ios::app) << "end";
        harness::write_file(node / "new", "file");
    };
    MemoryFileSystem files;
    const auto result = back_up_with(behaviour, files, std::make_shared<Record>());
    CHECK(content_of(files, result.id, "data/quorum/n/1.wal") == "begin end");
    CHECK(content_of(files, result.id, "data/new") == "file");
    CHECK(result.summary.cut->files == 2);
}

TEST_CASE("a stop that was of no use is repeated, with a new checkpoint") {
    const std::string outcome = GENERATE("committed", "late", "never held");
    INFO(outcome);
    harness::TempDir node;
    std::uint64_t stops = 0;
    auto behaviour = well_behaved();
    behaviour.data_dir = node.path();
    behaviour.stops = {outcome, outcome};
    // Written before each stop: what the useless ones captured must not stay.
    behaviour.before_stop = [&] {
        harness::write_file(node / "in_place", "version " + std::to_string(++stops));
    };
    MemoryFileSystem files;
    const auto record = std::make_shared<Record>();
    const auto result = back_up_with(behaviour, files, record);
    CHECK(stops == 3);
    CHECK(result.summary.cut->attempts == 3);
    CHECK(count_of(record->operations, "checkpoint_begin") == 3);
    CHECK(count_of(record->operations, "checkpoint_end") == 3);
    CHECK(content_of(files, result.id, "data/in_place") == "version 3");
    CHECK(record->outcome == "done");
}

TEST_CASE("no stop is of use while the message store combines files") {
    harness::TempDir node;
    const auto combining = node / "msg_stores/vhosts/1/msg_store_persistent/3.rdt";
    std::filesystem::create_directories(combining.parent_path());
    std::uint64_t stops = 0;
    auto behaviour = well_behaved();
    behaviour.data_dir = node.path();
    SECTION("for a while") {
        std::jthread combine;
        behaviour.before_stop = [&] {
            if (++stops == 1) {
                harness::write_file(combining, "tail");
                combine = std::jthread([&] {
                    std::this_thread::sleep_for(std::chrono::milliseconds(50));
                    std::filesystem::remove(combining);
                });
            }
        };
        MemoryFileSystem files;
        const auto record = std::make_shared<Record>();
        const auto result = back_up_with(behaviour, files, record);
        // The node is not stopped again to find out what is known already.
        CHECK(result.summary.cut->attempts == 2);
        CHECK(record->captured == std::vector<std::string>{"failed", "ok"});
        // The checkpoint is still good: nothing was committed.
        CHECK(count_of(record->operations, "checkpoint_begin") == 1);
    }
    SECTION("for ever") {
        harness::write_file(combining, "tail");
        CHECK_THAT(failure_of(behaviour).what(), Catch::Contains("combining"));
    }
}

TEST_CASE("the engine gives up with an error that tells what to change") {
    auto behaviour = well_behaved();
    SECTION("metadata is changed all the time") {
        behaviour.stops.assign(1000, "committed");
        CHECK_THAT(failure_of(behaviour).what(), Catch::Contains("metadata was changed"));
    }
    SECTION("metadata is in the log that nobody has counted") {
        behaviour.committed_unseen = true;
        CHECK_THAT(failure_of(behaviour).what(), Catch::Contains("metadata was changed"));
    }
    SECTION("the pause is never short enough") {
        behaviour.stops.assign(1000, "late");
        const auto error = failure_of(behaviour);
        CHECK_THAT(error.what(), Catch::Contains("max_pause, 250 ms"));
        CHECK_THAT(error.hint(), Catch::Contains("--max-pause"));
    }
}

TEST_CASE("a node whose files are not to be seen here is not backed up") {
    auto behaviour = well_behaved();
    SECTION("another machine") {
        behaviour.boot_id = "another";
        CHECK_THAT(failure_of(behaviour).what(), Catch::Contains("another one of that name"));
    }
    SECTION("no such directory") {
        behaviour.data_dir = "/nonexistent/rabbit@double";
        CHECK_THAT(failure_of(behaviour).what(), Catch::Contains("not to be seen here"));
    }
}

TEST_CASE("a repository within the node's directory is refused, and not made") {
    harness::TempDir node;
    auto behaviour = well_behaved();
    behaviour.data_dir = node.path();
    const auto repository = (node / "backups").string();
    CHECK_THAT(failure_of(behaviour, repository).what(), Catch::Contains("lies within"));
    CHECK_FALSE(std::filesystem::exists(repository));
}

TEST_CASE("of a node with its metadata in Khepri, the store's standstill is written down") {
    auto behaviour = well_behaved();
    behaviour.metadata_store = "khepri";
    behaviour.stops = {"committed"};
    MemoryFileSystem files;
    const auto summary = back_up_with(behaviour, files, std::make_shared<Record>()).summary;
    CHECK(summary.metadata.store == "khepri");
    CHECK(summary.metadata.activation_us == 12'000);
    CHECK(summary.metadata.tables.empty());
    CHECK(summary.cut->attempts == 2);
}

TEST_CASE("the disk that a node uses too is not filled up") {
    const auto& node = sample_directory();
    const auto device = posix_file_system().space(node).device;
    const auto free = posix_file_system().space(node).available;
    const std::vector<CaptureRoot> shared{{"data", node}};
    const std::vector<CaptureRoot> elsewhere{{"data", "/proc"}};
    REQUIRE(posix_file_system().space("/proc").device != device);
    constexpr std::uint64_t leeway = std::uint64_t{1} << 30;

    SpaceGuard(posix_file_system(), node, elsewhere, free).check();
    SpaceGuard(posix_file_system(), node, elsewhere, 0).check(1);
    CHECK_THROWS_WITH(SpaceGuard(posix_file_system(), node, elsewhere, 0).check(free + leeway),
                      Catch::Contains("not enough space") && Catch::Contains("are needed"));
    CHECK_THROWS_WITH(SpaceGuard(posix_file_system(), node, shared, free).check(),
                      Catch::Contains("stay free for the node"));
    CHECK_THROWS_WITH(SpaceGuard(posix_file_system(), node, shared, 0).check(free),
                      Catch::Contains("stay free for the node"));
}

TEST_CASE("directories elsewhere have their own place in the image") {
    harness::TempDir quorum;
    std::filesystem::create_directories(quorum / "n");
    harness::write_file(quorum / "n/1.wal", "elsewhere");
    auto behaviour = well_behaved();
    behaviour.directories = {{"quorum", quorum.path()}, {"stream", sample_directory() / "stream"}};
    MemoryFileSystem files;
    const auto result = back_up_with(behaviour, files, std::make_shared<Record>());
    CHECK(content_of(files, result.id, "quorum/n/1.wal") == "elsewhere");
    CHECK_THROWS_AS(content_of(files, result.id, "stream"), Error);
}

TEST_CASE("what the node knows of its queues is in the backup") {
    auto behaviour = well_behaved();
    behaviour.statistics = {payload_of({erlang::map({{"vhost", erlang::binary("/")},
                                                     {"name", erlang::binary("orders")},
                                                     {"ready", erlang::integer(12)},
                                                     {"unacknowledged", erlang::integer(3)}})})};
    MemoryFileSystem files;
    const auto result = back_up_with(behaviour, files, std::make_shared<Record>());
    const auto text = content_of(files, result.id, "statistics/queues");
    CHECK_THAT(text, Catch::Contains(R"("orders")") && Catch::Contains("12"));
}
