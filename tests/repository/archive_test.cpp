// An archive: exact, whole or not at all, and a repository once it is unpacked.
#include "sidecar/repository/archive.hpp"
#include "sidecar/repository/identifier.hpp"
#include "sidecar/repository/marks.hpp"
#include "sidecar/repository/tar.hpp"
#include "tests/harness/process.hpp"
#include "tests/harness/temp_dir.hpp"
#include "tests/repository/faulty_file_system.hpp"
#include "tests/repository/memory_file_system.hpp"
#include "tests/repository/sample.hpp"

#include <catch2/catch.hpp>

#include <fstream>

using namespace hot_backup;
using namespace repository_test;

namespace {

constexpr const char* id = "20261122T073241.512Z";
constexpr const char* directory_in_it = "rabbitmq-hot-backup-20261122T073241.512Z";

std::string to_string(const Archive& archive) {
    std::string tar;
    archive.write([&](std::string_view bytes) { tar += bytes; });
    return tar;
}

std::string archive_of(const Repository& repository, const std::string& backup = id) {
    return to_string(Archive(repository, backup));
}

void write_file(const Path& path, std::string_view content) {
    std::ofstream(path, std::ios::binary) << content;
}

// As an operator unpacks it.
harness::Result unpack(const std::string& tar, const Path& place) {
    write_file(place / "it.tar", tar);
    return harness::run("tar", {"-xf", place / "it.tar", "-C", place, "--no-same-owner"});
}

}  // namespace

TEST_CASE("what is unpacked is a repository with this backup, and nothing else") {
    MemoryFileSystem disk;
    const Repository repository = Repository::open_or_create(disk, "/r");
    write_sample(repository, sample_time() - std::chrono::hours{1});
    write_sample(repository);
    protect(repository, id, {sample_time(), "kept"});
    record_check(repository, id, CheckKind::verified, {sample_time(), 0, 1, 2, "0.1.0", ""});
    const Archive archive(repository, id);
    const auto tar = to_string(archive);
    CHECK(archive.name() == std::string(directory_in_it));
    CHECK(tar.size() == archive.bytes());

    const harness::TempDir place;
    REQUIRE(unpack(tar, place.path()).exit_code == 0);
    const Repository unpacked = Repository::open(posix_file_system(), place / directory_in_it);
    CHECK(unpacked.list() == std::vector<std::string>{id});
    CHECK(verify_backup(unpacked, id).whole());
    CHECK(read_backup(unpacked, id) == sample_files());
    // What was verified here are not the files that were unpacked there.
    auto marks = read_marks(repository, id);
    REQUIRE(marks.verified);
    marks.verified = std::nullopt;
    CHECK(read_marks(unpacked, id) == marks);
    CHECK(posix_file_system().list(unpacked.packs()).size() == 3);
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(place / directory_in_it)) {
        CAPTURE(entry.path());
        CHECK(entry.status().permissions() ==
              (entry.is_directory()
                   ? std::filesystem::perms::owner_all
                   : std::filesystem::perms::owner_read | std::filesystem::perms::owner_write));
    }

    // It is a whole repository: backups can be made in it and deleted.
    write_sample(unpacked, sample_time() + std::chrono::hours{1});
    CHECK(unpack(archive_of(unpacked), place.path()).exit_code == 0);
}

TEST_CASE("a backup that refers to packs of an earlier one takes them along") {
    MemoryFileSystem disk;
    const Repository repository = Repository::open_or_create(disk, "/r");
    write_sample(repository);
    const auto referring = next_backup_id(sample_time(), repository.last_id());
    Summary summary = sample_summary();
    const FileEntry entry = repository.find_file(id, "metadata/snapshot");
    summary.files = 1;
    summary.bytes = summary.stored_bytes = entry.size;
    {
        const auto file = disk.create(repository.manifest_path(referring));
        ManifestWriter writer(*file, referring, summary);
        writer.write_file(entry);
        writer.finish();
    }
    const harness::TempDir place;
    REQUIRE(unpack(archive_of(repository, referring), place.path()).exit_code == 0);
    const Repository unpacked =
        Repository::open(posix_file_system(), place / ("rabbitmq-hot-backup-" + referring));
    CHECK(verify_backup(unpacked, referring).whole());
    CHECK(read_backup(unpacked, referring).at("metadata/snapshot") ==
          sample_files().at("metadata/snapshot"));
}

TEST_CASE("bytes that nobody refers to go along, and extents that several files share") {
    MemoryFileSystem disk;
    const Repository repository = Repository::open_or_create(disk, "/r");
    {
        const Lock lock(disk, "/r", "create");
        BackupWriter writer(repository, lock, sample_time());
        writer.store("superseded");
        const Extent shared = writer.store("shared");
        writer.store("superseded, too");
        writer.add_entry({"data/a", "data", 12, {}, {shared, shared}, {}});
        writer.add_entry({"data/b", "data", 6, {}, {shared}, {}});
        writer.publish(sample_summary());
    }
    const harness::TempDir place;
    REQUIRE(unpack(archive_of(repository), place.path()).exit_code == 0);
    const Repository unpacked = Repository::open(posix_file_system(), place / directory_in_it);
    CHECK(verify_backup(unpacked, id).whole());
    std::ifstream pack(place / directory_in_it / "packs" / (std::string(id) + ".0001.pack"),
                       std::ios::binary);
    const std::string content{std::istreambuf_iterator<char>(pack), {}};
    CHECK(content == disk.content(repository.pack_path(std::string(id) + ".0001")));
}

TEST_CASE("no flipped bit of a pack or manifest gets into an archive unnoticed") {
    MemoryFileSystem disk;
    const Repository repository = Repository::open_or_create(disk, "/r");
    write_sample(repository);
    for (const Path& path : disk.files()) {
        if (path.extension() != ".pack" && path.extension() != ".manifest") {
            continue;
        }
        std::string& content = disk.content(path);
        for (std::size_t at = 0; at < content.size(); ++at) {
            CAPTURE(path, at);
            content[at] = static_cast<char>(content[at] ^ 0x10);
            const Error error = error_of([&] { archive_of(repository); });
            REQUIRE(error.code() == ErrorCode::damaged);
            REQUIRE(has(error.what(), path.string()));
            content[at] = static_cast<char>(content[at] ^ 0x10);
        }
    }
}

TEST_CASE("what damages a file after the archive was begun is found, too") {
    for (const std::string extension : {".pack", ".manifest"}) {
        MemoryFileSystem disk;
        const Repository repository = Repository::open_or_create(disk, "/r");
        write_sample(repository);
        const Archive archive(repository, id);
        for (const Path& path : disk.files()) {
            if (path.extension() == extension) {
                disk.content(path)[disk.content(path).size() / 2] ^= 1;
            }
        }
        std::string tar;
        const Error error =
            error_of([&] { archive.write([&](std::string_view bytes) { tar += bytes; }); });
        CHECK(error.code() == ErrorCode::damaged);
        CHECK(tar.size() < archive.bytes());
        // And what there is of it makes no repository.
        const harness::TempDir place;
        unpack(tar, place.path());
        CHECK_FALSE(std::filesystem::exists(place / directory_in_it / "repository.json"));
    }
}

TEST_CASE("a pack that is missing or cut off is damage, a backup that is deleted is not") {
    MemoryFileSystem disk;
    const Repository repository = Repository::open_or_create(disk, "/r");
    write_sample(repository);
    const Path pack = repository.pack_path(std::string(id) + ".0002");
    SECTION("missing") {
        disk.remove(pack);
        const Error error = error_of([&] { Archive(repository, id); });
        CHECK(error.code() == ErrorCode::damaged);
        CHECK(has(error.what(), pack.string()));
    }
    SECTION("cut off") {
        disk.content(pack).pop_back();
        CHECK(error_of([&] { Archive(repository, id); }).code() == ErrorCode::damaged);
    }
    SECTION("deleted before") {
        const Lock lock(disk, "/r", "delete");
        repository.remove(lock, id);
        CHECK(error_of([&] { Archive(repository, id); }).code() == ErrorCode::not_found);
    }
    SECTION("deleted meanwhile") {
        const Archive archive(repository, id);
        const Lock lock(disk, "/r", "delete");
        repository.remove(lock, id);
        const Error error = error_of([&] { to_string(archive); });
        CHECK(error.code() == ErrorCode::not_found);
        CHECK(has(error.what(), "was deleted while it was read"));
    }
}

TEST_CASE("a failure of any call ends an archive, or does no harm") {
    bool struck = true;
    for (std::uint64_t at = 1; struck; ++at) {
        CAPTURE(at);
        MemoryFileSystem disk;
        write_sample(Repository::open_or_create(disk, "/r"));
        FaultyFileSystem faulty(disk, {.at = at, .error = EIO});
        std::string tar;
        try {
            const Repository repository = Repository::open(faulty, "/r");
            const Archive archive(repository, id);
            archive.write([&](std::string_view bytes) { tar += bytes; });
            REQUIRE(tar.size() == archive.bytes());
            REQUIRE(tar.ends_with(tar_end()));
        } catch (const Error& error) {
            REQUIRE_FALSE(error.hint().empty());
            REQUIRE_FALSE(tar.ends_with(tar_end()));
        }
        struck = faulty.struck();
    }
}

TEST_CASE("sizes beyond 8 GiB are written as pax has them") {
    const harness::TempDir place;
    constexpr std::uint64_t gibibyte = std::uint64_t{1} << 30;
    for (const std::uint64_t size : {8 * gibibyte - 1, 8 * gibibyte, 1000 * gibibyte + 1}) {
        CAPTURE(size);
        const auto first = tar_header({"large", size, sample_time()});
        const auto second = tar_header({"small", 3, sample_time()});
        CHECK(first.size() == (size < 8 * gibibyte ? 512 : 1536));
        const Path path = place / "sparse.tar";
        write_file(path, first);
        const auto content_end = first.size() + size + tar_padding(size);
        std::filesystem::resize_file(path, content_end);
        {
            std::ofstream stream(path, std::ios::binary | std::ios::app);
            stream << second << "abc" << std::string(tar_padding(3), '\0') << tar_end();
        }
        const auto listed = harness::run("tar", {"--utc", "-tvf", path});
        CHECK(listed.exit_code == 0);
        CHECK(listed.error_output.empty());
        CHECK(has(listed.output, " " + std::to_string(size) + " 2026-11-22 07:32 large\n"));
        CHECK(has(listed.output, " 3 2026-11-22 07:32 small\n"));
    }
    CHECK(error_of([] { tar_header({std::string(100, 'x'), 0, {}}); }).code() == ErrorCode::failed);
}
