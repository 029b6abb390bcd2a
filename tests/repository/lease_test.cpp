// Parts of one cluster backup that are written into one repository at once.
#include "sidecar/json.hpp"
#include "sidecar/repository/identifier.hpp"
#include "tests/harness/temp_dir.hpp"
#include "tests/repository/child.hpp"
#include "tests/repository/cluster_sample.hpp"
#include "tests/repository/faulty_file_system.hpp"
#include "tests/repository/memory_file_system.hpp"

#include <catch2/catch.hpp>
#include <cerrno>
#include <csignal>
#include <thread>

using namespace hot_backup;
using namespace repository_test;

namespace {

const std::string cid = sample_cluster_id;
const std::string other_cid = "20261122T073241.600Z";

struct Place {
    harness::TempDir files;
    FileSystem& disk = posix_file_system();
    Repository repository = Repository::open_or_create(disk, files / "r");

    Path directory() const { return files / "r"; }
    std::unique_ptr<Lock> lock(const std::string& command, const std::string& group = {}) {
        return std::make_unique<Lock>(disk, directory(), command, this_process(), group);
    }
    bool locked(const std::string& command, const std::string& group = {}) {
        try {
            lock(command, group);
            return false;
        } catch (const Error& error) {
            REQUIRE(error.code() == ErrorCode::locked);
            CHECK(has(error.what(), "process " + std::to_string(::getpid())));
            return true;
        }
    }
    // A lease of the given process.
    void leave(const ProcessIdentity& holder) {
        disk.make_directory(directory() / "writers");
        harness::write_file(directory() / "writers" / "left",
                            to_line(Json{{"host", holder.host},
                                         {"pid", holder.pid},
                                         {"process_start", holder.process_start},
                                         {"boot_id", holder.boot_id},
                                         {"machine_id", holder.machine_id},
                                         {"command", "create"},
                                         {"since", "2026-11-22T07:32:41.512000Z"},
                                         {"group", cid}}) +
                                '\n');
    }
};

BackupWriter::Options part_options() {
    auto options = sample_options();
    options.cluster_backup = cid;
    return options;
}

void fill(BackupWriter& writer, unsigned seed) {
    auto file = writer.add_file("data/x", "data");
    file.append(sample_bytes(700, seed));
    file.close();
}

}  // namespace

TEST_CASE("writers of one cluster backup share a repository, nobody else comes in") {
    Place place;
    {
        const auto first = place.lock("create", cid);
        CHECK_FALSE(std::filesystem::exists(place.directory() / "lock"));
        const auto second = place.lock("create", cid);
        CHECK(place.disk.list(place.directory() / "writers").size() == 2);
        CHECK(place.locked("create"));
        CHECK(place.locked("delete"));
        CHECK(place.locked("create", other_cid));
    }
    CHECK(place.disk.list(place.directory() / "writers").empty());
    CHECK_FALSE(place.locked("delete"));
    const auto stranger = place.lock("delete");
    CHECK(place.locked("create", cid));
}

TEST_CASE("two parts are written at once, each with its own ID and packs") {
    Place place;
    const auto& repository = place.repository;
    const auto first_lock = place.lock("create", cid);
    const auto second_lock = place.lock("create", cid);
    BackupWriter first(repository, *first_lock, sample_time(), part_options());
    fill(first, 1);
    // Begins while packs of the first one are there that no manifest names.
    BackupWriter second(repository, *second_lock, sample_time(), part_options());
    CHECK(first.id() < second.id());
    fill(second, 2);
    BackupWriter third(repository, *second_lock, sample_time(), part_options());
    CHECK(second.id() < third.id());
    const Summary summary = first.publish(sample_part_summary("rabbit@a", true));
    second.publish(sample_part_summary("rabbit@b", false));
    CHECK(repository.sweep(*first_lock).packs == 0);
    CHECK(verify_backup(repository, first.id()).whole());
    CHECK(verify_backup(repository, second.id()).whole());
    CHECK(repository.in_doubt().size() == 2);

    second.withdraw();
    CHECK(repository.in_doubt().size() == 1);
    ClusterPart part;
    part.node = "rabbit@a";
    part.backup = first.id();
    part.repository = repository.id();
    part.manifest_digest = first.published().digest;
    part.manifest_bytes = first.published().bytes;
    part.metadata = true;
    part.cut = *summary.cut;
    const auto text = to_text(sample_cluster({part}), cid);
    repository.publish_cluster(*first_lock, cid, text);
    repository.publish_cluster(*second_lock, cid, text);
    CHECK(repository.list() == std::vector{cid});
}

TEST_CASE("parts that have written nothing yet have their own IDs all the same") {
    Place place;
    const auto first_lock = place.lock("create", cid);
    const auto second_lock = place.lock("create", cid);
    BackupWriter first(place.repository, *first_lock, sample_time(), part_options());
    BackupWriter second(place.repository, *second_lock, sample_time(), part_options());
    CHECK(first.id() < second.id());
    fill(first, 1);
    fill(second, 2);
    first.publish(sample_part_summary("rabbit@a", true));
    second.publish(sample_part_summary("rabbit@b", false));
    CHECK(place.repository.parts_here(cid) == std::vector{first.id(), second.id()});
}

TEST_CASE("a sweep beside a living lease leaves alone what its holder may write") {
    Place place;
    const auto old_rest = pack_name("20261122T070000.000Z", 1);
    const auto new_rest = pack_name("20261122T080000.000Z", 1);
    const auto temporary = place.repository.manifests() / "20261122T080000.000Z.manifest.tmp";
    for (const Path& path :
         {place.repository.pack_path(old_rest), place.repository.pack_path(new_rest), temporary}) {
        harness::write_file(path, "x");
    }
    {
        const auto other = place.lock("create", cid);
        const auto self = place.lock("create", cid);
        CHECK(place.repository.sweep(*self).packs == 1);
        CHECK(place.disk.list(place.repository.packs()) ==
              std::vector<std::string>{new_rest + ".pack"});
        CHECK(std::filesystem::exists(temporary));
    }
    // The last one of the group takes it for what it is.
    const auto self = place.lock("create", cid);
    CHECK(place.repository.sweep(*self).packs == 1);
    CHECK_FALSE(std::filesystem::exists(temporary));
}

TEST_CASE("a stale lease is removed, one of another host is not") {
    Place place;
    auto holder = this_process();
    SECTION("a process that is gone") {
        holder.process_start += 1;
        place.leave(holder);
        CHECK_FALSE(place.locked("delete"));
        CHECK(place.disk.list(place.directory() / "writers").empty());
    }
    SECTION("one that was never finished") {
        place.leave(holder);
        harness::write_file(place.directory() / "writers" / "left", "{\"host\":");
        CHECK_FALSE(place.locked("create", other_cid));
        CHECK(place.disk.list(place.directory() / "writers").empty());
    }
    SECTION("another host") {
        holder.host = "elsewhere";
        holder.boot_id = "2bfae1c0-0000-4000-8000-000000000000";
        place.leave(holder);
        const Error error = error_of([&] { place.lock("delete"); });
        CHECK(error.code() == ErrorCode::locked);
        CHECK(has(error.what(), "on host elsewhere"));
        CHECK(has(error.hint(), "remove " + (place.directory() / "writers" / "left").string()));
        // The others of its group go on beside it.
        CHECK_NOTHROW(place.lock("create", cid));
        CHECK(place.disk.list(place.directory() / "writers").size() == 1);
    }
}

TEST_CASE("the lease of a writer that was killed does not outlive it") {
    Place place;
    Pipe ready;
    Child child([&] {
        const auto lock = place.lock("create", cid);
        BackupWriter writer(place.repository, *lock, sample_time(), part_options());
        fill(writer, 1);
        ready.put('r');
        for (;;) {
            ::pause();
        }
        return 0;
    });
    REQUIRE(ready.get() == 'r');
    CHECK(error_of([&] { place.lock("delete"); }).code() == ErrorCode::locked);
    CHECK_FALSE(place.disk.list(place.repository.packs()).empty());
    ::kill(child.pid(), SIGKILL);
    child.wait();
    const auto lock = place.lock("delete");
    CHECK(place.repository.sweep(*lock).packs > 0);
    CHECK(place.disk.list(place.repository.packs()).empty());
}

TEST_CASE("a writer whose lease was removed publishes nothing") {
    Place place;
    const auto lock = place.lock("create", cid);
    BackupWriter writer(place.repository, *lock, sample_time(), part_options());
    fill(writer, 1);
    std::filesystem::remove(lock->path());
    const Error error = error_of([&] { writer.publish(sample_part_summary("rabbit@a", true)); });
    CHECK(error.code() == ErrorCode::locked);
    CHECK(has(error.hint(), lock->path().string()));
    CHECK(place.disk.list(place.repository.manifests()).size() == 1);  // a temporary
    CHECK(error_of([&] { lock->exclusively([] {}); }).code() == ErrorCode::locked);
}

TEST_CASE("a group's writer begins no backup of another kind") {
    Place place;
    const auto lock = place.lock("create", cid);
    CHECK_THROWS_AS(BackupWriter(place.repository, *lock, sample_time()), Error);
    auto options = part_options();
    options.cluster_backup = other_cid;
    CHECK_THROWS_AS(BackupWriter(place.repository, *lock, sample_time(), options), Error);
}

TEST_CASE("many processes that write parts into a fresh directory at once all get through") {
    const harness::TempDir files;
    const Path directory = files / "fresh";
    constexpr int writers = 6;
    std::vector<Child> children;
    for (unsigned i = 0; i < writers; ++i) {
        children.emplace_back([&, i] {
            const auto repository = Repository::open_or_create(posix_file_system(), directory);
            const Lock lock(posix_file_system(), directory, "create", this_process(), cid);
            BackupWriter writer(repository, lock, sample_time(), part_options());
            fill(writer, i);
            writer.publish(sample_part_summary("rabbit@n" + std::to_string(i), i == 0));
            return 0;
        });
    }
    for (auto& child : children) {
        CHECK(child.wait() == 0);
    }
    const auto repository = Repository::open(posix_file_system(), directory);
    const auto parts = repository.in_doubt();
    REQUIRE(parts.size() == writers);
    for (const auto& part : parts) {
        CHECK(verify_backup(repository, part.backup).whole());
    }
    CHECK(std::filesystem::is_empty(directory / "writers"));
}

TEST_CASE("whatever fails while a part is begun and written, nothing is left that locks") {
    for (std::uint64_t at = 1;; ++at) {
        MemoryFileSystem disk;
        const auto healthy = Repository::open_or_create(disk, "/r");
        FaultyFileSystem faulty(disk, {at, EIO, false});
        bool done = false;
        try {
            const auto repository = Repository::open(faulty, "/r");
            const Lock lock(faulty, "/r", "create", this_process(), cid);
            BackupWriter writer(repository, lock, sample_time(), part_options());
            fill(writer, 1);
            writer.publish(sample_part_summary("rabbit@a", true));
            done = true;
        } catch (const Error&) {
        }
        CAPTURE(at);
        // Also where its removal failed: this process wrote it.
        const Lock lock(disk, "/r", "delete");
        healthy.sweep(lock);
        CHECK(healthy.in_doubt().size() == (done ? 1 : 0));
        CHECK(disk.list(healthy.packs()).empty() != done);
        if (!faulty.struck()) {
            CHECK(done);
            break;
        }
    }
}
