// Opening, creating, listing, naming, sweeping and deleting.
#include "sidecar/repository/identifier.hpp"
#include "tests/harness/temp_dir.hpp"
#include "tests/repository/child.hpp"
#include "tests/repository/memory_file_system.hpp"
#include "tests/repository/sample.hpp"

#include <unistd.h>
#include <algorithm>
#include <catch2/catch.hpp>
#include <regex>

using namespace hot_backup;
using namespace repository_test;

namespace {

std::string sealed(const std::string& text) {
    return text + "{\"xxh3_128\":\"" + checksum(text).hex() + "\"}\n";
}

Error open_error(FileSystem& disk, const Path& directory = "/r") {
    return error_of([&] { Repository::open(disk, directory); });
}

// Publishes a backup by hand that refers to the extents of an earlier one, as increments will.
std::string write_referring(MemoryFileSystem& disk, const Repository& repository,
                            const std::string& earlier, Timestamp started) {
    const std::string id = next_backup_id(started, repository.last_id());
    Summary summary = sample_summary();
    summary.files = 1;
    FileEntry entry = repository.find_file(earlier, "metadata/snapshot");
    summary.bytes = summary.stored_bytes = entry.size;
    const auto file = disk.create(repository.manifest_path(id));
    ManifestWriter writer(*file, id, summary);
    writer.write_file(entry);
    writer.finish();
    disk.sync_directory(repository.manifests());
    return id;
}

const Timestamp first_time = sample_time();
const Timestamp second_time = sample_time() + std::chrono::hours{1};
const Timestamp third_time = sample_time() + std::chrono::hours{2};

}  // namespace

TEST_CASE("each thing that is no repository has its own error") {
    MemoryFileSystem disk;
    disk.make_directory("/empty");
    disk.make_directory("/foreign");
    disk.put("/foreign/photo.jpg", "x");
    disk.put("/file", "x");

    const Error missing = open_error(disk, "/none");
    CHECK(missing.code() == ErrorCode::not_found);
    CHECK(missing.what() == std::string("there is no repository at /none"));
    CHECK_FALSE(missing.hint().empty());

    const Error empty = open_error(disk, "/empty");
    CHECK(empty.code() == ErrorCode::not_found);
    CHECK(has(empty.what(), "/empty is empty"));

    for (const char* path : {"/foreign", "/file"}) {
        for (const auto& action :
             std::vector<std::function<void()>>{[&] { Repository::open(disk, path); },
                                                [&] { Repository::open_or_create(disk, path); }}) {
            const Error foreign = error_of(action);
            CHECK(foreign.code() == ErrorCode::failed);
            CHECK(has(foreign.what(), std::string(path) + " is not a repository"));
            CHECK(has(foreign.hint(), "Choose"));
        }
    }
    CHECK(disk.list("/foreign") == std::vector<std::string>{"photo.jpg"});
}

TEST_CASE("a newer repository is refused with a hint to upgrade") {
    MemoryFileSystem disk;
    Repository::open_or_create(disk, "/r");
    disk.put("/r/repository.json",
             sealed("{\"format\":\"rabbitmq-hot-backup repository\",\"version\":2}\n"));
    const Error error = open_error(disk);
    CHECK(error.code() == ErrorCode::failed);
    CHECK(has(error.what(), "/r/repository.json has format version 2"));
    CHECK(has(error.hint(), "Upgrade rabbitmq-hot-backup"));
}

TEST_CASE("a repository.json that says something else is damage") {
    MemoryFileSystem disk;
    Repository::open_or_create(disk, "/r");
    for (const std::string text :
         {"", "{}\n", "[]\n", "not json\n", "{\"format\":\"other\",\"version\":1}\n",
          "{\"format\":\"rabbitmq-hot-backup repository\",\"version\":0}\n",
          "{\"format\":\"rabbitmq-hot-backup repository\",\"version\":-1}\n",
          "{\"format\":\"rabbitmq-hot-backup repository\",\"version\":\"1\"}\n",
          "{\"format\":\"rabbitmq-hot-backup repository\",\"version\":1}\n",
          "{\"format\":\"rabbitmq-hot-backup repository\",\"version\":1,\"id\":\"x\",\"created\":"
          "\"yesterday\"}\n"}) {
        disk.put("/r/repository.json", sealed(text));
        CAPTURE(text);
        const Error error = open_error(disk);
        CHECK(error.code() == ErrorCode::damaged);
        CHECK(has(error.what(), "/r/repository.json is damaged: "));
    }
}

TEST_CASE("a repository with a part missing is damaged") {
    for (const char* part : {"manifests", "packs", "repository.json"}) {
        MemoryFileSystem disk;
        write_sample(Repository::open_or_create(disk, "/r"));
        disk.remove(Path("/r") / part);
        const Error error = open_error(disk);
        CHECK(error.code() == ErrorCode::damaged);
        CHECK(error.what() == std::string("repository /r is damaged: ") + part + " is missing");
    }
}

TEST_CASE("a repository that we may not read is an error of its own") {
    const harness::TempDir place;
    Repository::open_or_create(posix_file_system(), place / "r");
    const uid_t self = ::geteuid();
    std::filesystem::permissions(place / "r", std::filesystem::perms::none);
    // Root may read all the same, so the test goes on as somebody else.
    REQUIRE(::seteuid(self == 0 ? 65534 : self) == 0);
    const Error error = open_error(posix_file_system(), place / "r");
    REQUIRE(::seteuid(self) == 0);
    std::filesystem::permissions(place / "r", std::filesystem::perms::owner_all);
    CHECK(error.code() == ErrorCode::failed);
    CHECK(has(error.what(), "Permission denied"));
    CHECK(has(error.hint(), "user"));
}

TEST_CASE("a repository is made where nothing is, in an empty directory, on a fresh file system") {
    MemoryFileSystem disk;
    disk.make_directory("/empty");
    disk.make_directory("/mount");
    disk.make_directory("/mount/lost+found");
    for (const char* path : {"/none", "/empty", "/mount"}) {
        Repository::open_or_create(disk, path);
        const std::string made = disk.content(Path(path) / "repository.json");
        Repository::open_or_create(disk, path);
        CHECK(disk.content(Path(path) / "repository.json") == made);
        CHECK(Repository::open(disk, path).list().empty());
    }
    const Error error = error_of([&] { Repository::open_or_create(disk, "/no/parent"); });
    CHECK(error.code() == ErrorCode::not_found);
    CHECK(has(error.what(), "/no/parent"));
    CHECK(has(error.hint(), "Create /no"));
}

TEST_CASE("a repository has a path that does not depend on how it was spelled") {
    const harness::TempDir place;
    const Repository made = Repository::open_or_create(posix_file_system(), place / "x/../r/");
    CHECK(made.directory() == place / "r");
}

TEST_CASE("an empty path is a mistake of the command line") {
    for (const auto& action : std::vector<std::function<void()>>{
             [] { Repository::open(posix_file_system(), ""); },
             [] { Repository::open_or_create(posix_file_system(), ""); }}) {
        const Error error = error_of(action);
        CHECK(error.code() == ErrorCode::usage);
        CHECK_FALSE(error.hint().empty());
    }
}

TEST_CASE("a relative path in a working directory that is gone is a plain error") {
    const harness::TempDir place;
    const int result =
        Child([&] {
            std::filesystem::create_directory(place / "gone");
            std::filesystem::current_path(place / "gone");
            std::filesystem::remove(place / "gone");
            const Error error = error_of([] { Repository::open(posix_file_system(), "r"); });
            return error.code() == ErrorCode::failed && !error.hint().empty() ? 7 : 8;
        }).wait();
    CHECK(result == 7);
}

TEST_CASE("each repository has its own UUID") {
    const std::string uuid = random_uuid();
    CHECK(std::regex_match(
        uuid, std::regex("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")));
    CHECK(uuid != random_uuid());
}

TEST_CASE("only backups are listed, in order") {
    MemoryFileSystem disk;
    const Repository repository = Repository::open_or_create(disk, "/r");
    const std::string second = write_sample(repository, second_time);
    // The clock has gone back: the ID rises all the same, `started` says what the clock said.
    const std::string first = write_sample(repository, first_time);
    for (const char* name : {"notes.txt", ".manifest", "x.manifest", "20261122T073241.512Z.tmp"}) {
        disk.put(repository.manifests() / name, "x");
    }
    CHECK(second == "20261122T083241.512Z");
    CHECK(first == "20261122T083241.513Z");
    CHECK(repository.list() == std::vector{second, first});
    CHECK(repository.read_manifest(first).summary().started == first_time);
}

TEST_CASE("IDs rise above packs, too") {
    MemoryFileSystem disk;
    const Repository repository = Repository::open_or_create(disk, "/r");
    disk.put(repository.pack_path("20301122T073241.512Z.0001"), "x");
    CHECK(repository.last_id() == "20301122T073241.512Z");
}

TEST_CASE("a backup is found by its ID, by the beginning of it, as the latest") {
    MemoryFileSystem disk;
    const Repository repository = Repository::open_or_create(disk, "/r");
    const Error none = error_of([&] { repository.resolve("latest"); });
    CHECK(none.code() == ErrorCode::not_found);
    CHECK(has(none.what(), "no backup yet"));

    const std::string first = write_sample(repository, first_time);
    const std::string second = write_sample(repository, second_time);
    CHECK(repository.resolve("latest") == second);
    CHECK(repository.resolve(first) == first);
    CHECK(repository.resolve("20261122T07") == first);

    const Error several = error_of([&] { repository.resolve("2026"); });
    CHECK(several.code() == ErrorCode::usage);
    CHECK(has(several.what(), "2 backups begin with 2026"));
    for (const char* text : {"2025", "", "20261122T073241.512ZZ", "../x"}) {
        const Error unknown = error_of([&] { repository.resolve(text); });
        CHECK(unknown.code() == ErrorCode::not_found);
        CHECK_FALSE(unknown.hint().empty());
    }
    for (const char* id : {"20251122T073241.512Z", "../repository.json", ""}) {
        CHECK(error_of([&] { repository.read_manifest(id); }).code() == ErrorCode::not_found);
    }
    const Error no_file = error_of([&] { repository.find_file(first, "no/such"); });
    CHECK(no_file.code() == ErrorCode::not_found);
    CHECK(has(no_file.hint(), "`show`"));
}

TEST_CASE("a deletion removes the backup's packs and nothing else") {
    MemoryFileSystem disk;
    const Repository repository = Repository::open_or_create(disk, "/r");
    const std::string first = write_sample(repository, first_time);
    const std::string second = write_sample(repository, second_time);
    const ManifestReader manifest = repository.read_manifest(first);
    const Lock lock(disk, "/r", "delete");
    const Repository::Swept swept = repository.remove(lock, first);
    CHECK(swept.packs == manifest.summary().packs.size());
    CHECK(swept.bytes == 329 + 128 * swept.packs);
    CHECK(repository.list() == std::vector{second});
    CHECK(verify_backup(repository, second).whole());
    for (const std::string& none : {first, std::string("latest")}) {
        const Error error = error_of([&] { repository.remove(lock, none); });
        CHECK(error.code() == ErrorCode::not_found);
        CHECK(has(error.hint(), "`list`"));
    }
}

TEST_CASE("a deletion keeps the packs that another backup needs") {
    MemoryFileSystem disk;
    const Repository repository = Repository::open_or_create(disk, "/r");
    const std::string first = write_sample(repository, first_time);
    const std::string second = write_referring(disk, repository, first, second_time);
    const std::string third = write_referring(disk, repository, first, third_time);
    const auto all_packs = disk.list(repository.packs());
    const Lock lock(disk, "/r", "delete");

    repository.remove(lock, first);
    CHECK(verify_backup(repository, second).whole());
    repository.remove(lock, second);
    CHECK(verify_backup(repository, third).whole());
    CHECK(read_backup(repository, third).at("metadata/snapshot") ==
          sample_files().at("metadata/snapshot"));
    CHECK(disk.list(repository.packs()) == all_packs);
    repository.remove(lock, third);
    CHECK(disk.list(repository.packs()).empty());
}

TEST_CASE("what a backup that cannot be read may need is kept") {
    MemoryFileSystem disk;
    const Repository repository = Repository::open_or_create(disk, "/r");
    const std::string first = write_sample(repository, first_time);
    const std::string second = write_referring(disk, repository, first, second_time);
    const auto packs = disk.list(repository.packs());
    disk.content(repository.manifest_path(second))[100] ^= 1;
    disk.put(repository.pack_path(pack_name("20301122T073241.512Z", 1)), "left over");
    {
        const Lock lock(disk, "/r", "delete");
        const Repository::Swept swept = repository.remove(lock, first);
        CHECK(swept.kept == packs.size());
        CHECK(swept.packs == 1);
        CHECK(disk.list(repository.packs()) == packs);
    }
    // A damaged backup can be deleted, and then nobody needs them.
    const Lock lock(disk, "/r", "delete");
    CHECK(repository.remove(lock, second).packs == packs.size());
    CHECK(disk.list(repository.packs()).empty());
}

TEST_CASE("what is not ours is not swept") {
    MemoryFileSystem disk;
    const Repository repository = Repository::open_or_create(disk, "/r");
    write_sample(repository);
    disk.put(repository.packs() / "notes.pack", "x");
    disk.put(repository.packs() / "notes.txt", "x");
    disk.put(repository.manifests() / "20301122T073241.512Z.manifest.tmp", "x");
    const Lock lock(disk, "/r", "create");
    CHECK(repository.sweep(lock).packs == 0);
    CHECK(disk.status(repository.packs() / "notes.pack"));
    CHECK(disk.status(repository.packs() / "notes.txt"));
    CHECK_FALSE(disk.status(repository.manifests() / "20301122T073241.512Z.manifest.tmp"));
}

TEST_CASE("files with a codec that we do not know are verified, and not called damaged") {
    MemoryFileSystem disk;
    const Repository repository = Repository::open_or_create(disk, "/r");
    const std::string first = write_sample(repository, first_time);
    FileEntry entry = repository.find_file(first, "configuration/rabbitmq.conf");
    Extent& extent = entry.extents.at(0);
    extent.encoding = std::make_shared<const Extent::Encoding>(
        Extent::Encoding{"zstd", extent.size, extent.digest});
    extent.size = entry.size = 1000;
    extent.digest = checksum("what it would be");
    Summary summary = sample_summary();
    summary.files = 1;
    summary.bytes = 1000;
    summary.stored_bytes = extent.stored_size();
    const std::string second = "20261122T083241.512Z";
    {
        const auto file = disk.create(repository.manifest_path(second));
        ManifestWriter writer(*file, second, summary);
        writer.write_file(entry);
        writer.finish();
    }
    CHECK(repository.find_file(second, entry.path) == entry);
    CHECK(verify_backup(repository, second).whole());
    const Error error = error_of([&] { read_backup(repository, second); });
    CHECK(error.code() == ErrorCode::failed);
    CHECK(has(error.what(), "codec \"zstd\""));
    disk.content(repository.pack_path(extent.pack.text())).at(extent.offset) ^= 1;
    CHECK(verify_backup(repository, second).findings.size() == 1);
}

TEST_CASE("an ID that cannot be followed ends a backup before it begins") {
    MemoryFileSystem disk;
    const Repository repository = Repository::open_or_create(disk, "/r");
    write_sample(repository);
    disk.put(repository.manifest_path("99991231T235959.999Z"), "x");
    const auto before = disk.files();
    const Error error = error_of([&] { write_sample(repository); });
    CHECK(error.code() == ErrorCode::failed);
    CHECK(has(error.what(), "99991231T235959.999Z"));
    CHECK(disk.files() == before);
}

TEST_CASE("a backup that is deleted while it is read is not called damaged") {
    MemoryFileSystem disk;
    const Repository repository = Repository::open_or_create(disk, "/r");
    const std::string first = write_sample(repository, first_time);
    const std::string second = write_referring(disk, repository, first, second_time);
    const FileEntry entry = repository.find_file(first, "metadata/snapshot");
    FileReader reader(repository, entry);
    FileReader named(repository, repository.find_file(second, "metadata/snapshot"), second);
    // Each has opened the first pack, and not yet the second.
    REQUIRE(reader.next());
    REQUIRE(named.next());
    const auto read_on = [](FileReader& file) {
        return error_of([&] {
            while (file.next()) {
            }
        });
    };
    SECTION("deleted") {
        const Lock lock(disk, "/r", "delete");
        repository.remove(lock, second);
        repository.remove(lock, first);
        for (FileReader* file : {&reader, &named}) {
            const Error error = read_on(*file);
            CHECK(error.code() == ErrorCode::not_found);
            CHECK(has(error.what(), "was deleted while it was read"));
            CHECK_FALSE(error.hint().empty());
        }
    }
    SECTION("a backup whose packs are missing is damaged, whatever was deleted before") {
        const Lock lock(disk, "/r", "delete");
        repository.remove(lock, first);
        for (const std::string& pack : disk.list(repository.packs())) {
            disk.remove(repository.packs() / pack);
        }
        CHECK(read_on(named).code() == ErrorCode::damaged);
    }
}
