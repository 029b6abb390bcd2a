// store() and add_entry(): a file's parts are stored in any order, by several threads, and some of
// them in vain.
#include "sidecar/repository/identifier.hpp"
#include "tests/harness/temp_dir.hpp"
#include "tests/repository/faulty_file_system.hpp"
#include "tests/repository/memory_file_system.hpp"
#include "tests/repository/sample.hpp"

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <cstring>
#include <thread>

using namespace hot_backup;
using namespace repository_test;

namespace {

constexpr std::size_t mebibyte = std::size_t{1} << 20;

FileEntry data_entry(const std::string& path, std::vector<Extent> extents) {
    FileEntry entry;
    entry.path = path;
    entry.kind = "data";
    entry.extents = std::move(extents);
    for (const Extent& extent : entry.extents) {
        entry.size += extent.size;
    }
    return entry;
}

FileEntry empty_entry(const std::string& path, const std::string& kind,
                      const std::string& target = {}) {
    FileEntry entry;
    entry.path = path;
    entry.kind = kind;
    entry.target = target;
    return entry;
}

// A repository in memory whose lock is held.
struct Place {
    MemoryFileSystem disk;
    Repository repository = Repository::open_or_create(disk, "/r");
    Lock lock{disk, "/r", "create"};
};

}  // namespace

TEST_CASE("a file is what its entry names, in the order of the entry") {
    Place place;
    BackupWriter writer(place.repository, place.lock, sample_time(), sample_options());
    const Extent second = writer.store("second, ");
    writer.store("never named");
    const Extent third = writer.store("third");
    const Extent first = writer.store("first, ");
    writer.add_entry(data_entry("data/b", {first, second, third, third}));
    writer.add_entry(data_entry("data/a", {}));
    // A streamed file fits in between.
    auto snapshot = writer.add_file("metadata/snapshot", "metadata");
    snapshot.append("streamed");
    snapshot.close();
    writer.add_entry(data_entry("data/c", {writer.store("after it")}));
    const Summary summary = writer.publish(sample_summary());

    CHECK(read_backup(place.repository, writer.id()) ==
          std::map<std::string, std::string>{{"data/a", ""},
                                             {"data/b", "first, second, thirdthird"},
                                             {"data/c", "after it"},
                                             {"metadata/snapshot", "streamed"}});
    CHECK(summary.files == 4);
    CHECK(summary.bytes == 25 + 8 + 8);
    CHECK(summary.stored_bytes == summary.bytes);
    CHECK(verify_backup(place.repository, writer.id()).whole());
}

TEST_CASE("blocks of every size lie where their extents say, and packs have the length they say") {
    Place place;
    const std::uint64_t pack_size = 5 * mebibyte;
    BackupWriter writer(place.repository, place.lock, sample_time(), {.pack_size = pack_size});
    std::vector<std::string> blocks;
    std::vector<Extent> extents;
    for (const std::size_t size :
         {std::size_t{1}, mebibyte - 129, mebibyte - 1, mebibyte, std::size_t{7}, mebibyte + 1,
          4 * mebibyte, mebibyte / 2, mebibyte / 2, mebibyte / 2, 16 * mebibyte, std::size_t{3}}) {
        blocks.push_back(sample_bytes(size, static_cast<unsigned>(blocks.size())));
        extents.push_back(writer.store(blocks.back()));
    }
    writer.add_entry(data_entry("data/all", extents));
    const Summary summary = writer.publish(sample_summary());

    REQUIRE(summary.packs.size() > 2);
    for (const PackSize& pack : summary.packs) {
        CHECK(place.disk.status(place.repository.pack_path(pack.name))->size == pack.bytes);
    }
    for (std::size_t n = 0; n < blocks.size(); ++n) {
        CAPTURE(n);
        CHECK(extents[n].offset < pack_size);
        auto pack = place.repository.open_pack(extents[n].pack.text());
        CHECK(pack.read(extents[n]) == blocks[n]);
    }
    CHECK(verify_backup(place.repository, writer.id()).whole());
}

TEST_CASE("several threads store at once") {
    const harness::TempDir directory;
    const Repository repository = Repository::open_or_create(posix_file_system(), directory / "r");
    const Lock lock(posix_file_system(), repository.directory(), "create");
    BackupWriter writer(repository, lock, sample_time(), {.pack_size = 3 * mebibyte});
    constexpr unsigned threads = 4;
    constexpr unsigned blocks = 60;
    const auto block = [](unsigned thread, unsigned n) {
        const std::size_t size = n % 10 == 0 ? mebibyte + n : 1 + 997 * n;
        return sample_bytes(size, thread * blocks + n);
    };

    std::vector<std::vector<Extent>> extents(threads);
    std::vector<std::thread> running;
    for (unsigned thread = 0; thread < threads; ++thread) {
        running.emplace_back([&, thread] {
            for (unsigned n = 0; n < blocks; ++n) {
                extents[thread].push_back(writer.store(block(thread, n)));
            }
        });
    }
    for (std::thread& thread : running) {
        thread.join();
    }
    std::map<std::string, std::string> expected;
    for (unsigned thread = 0; thread < threads; ++thread) {
        const std::string path = "data/" + std::to_string(thread);
        writer.add_entry(data_entry(path, extents[thread]));
        for (unsigned n = 0; n < blocks; ++n) {
            expected[path] += block(thread, n);
        }
    }
    CHECK(writer.publish(sample_summary()).packs.size() > 3);
    CHECK((read_backup(repository, writer.id()) == expected));
    CHECK(verify_backup(repository, writer.id()).whole());
}

TEST_CASE("a write that fails in one thread ends the backup for all") {
    MemoryFileSystem disk;
    FaultyFileSystem faulty(disk,
                            {.at = 20, .error = ENOSPC, .lasting = false, .calls = {Call::append}});
    const Repository repository = Repository::open_or_create(faulty, "/r");
    const Lock lock(faulty, "/r", "create");
    {
        BackupWriter writer(repository, lock, sample_time());
        const std::string block = sample_bytes(mebibyte);
        std::atomic<unsigned> stored = 0;
        std::atomic<unsigned> full = 0;
        std::vector<std::thread> running;
        for (unsigned thread = 0; thread < 4; ++thread) {
            running.emplace_back([&] {
                for (unsigned n = 0; n < 10; ++n) {
                    try {
                        writer.store(block);
                        ++stored;
                    } catch (const Error& error) {
                        full += has(error.what(), std::strerror(ENOSPC)) ? 1U : 0U;
                    }
                }
            });
        }
        for (std::thread& thread : running) {
            thread.join();
        }
        // Whichever error is seen first, it is the one that counts.
        CHECK(stored > 0);
        CHECK(full > 1);
        CHECK(stored + full == 40);
        const Error error = error_of([&] { writer.publish(sample_summary()); });
        CHECK(has(error.what(), std::strerror(ENOSPC)));
    }
    CHECK(repository.list().empty());
    CHECK(disk.list(repository.packs()).empty());
}

TEST_CASE("directories and symbolic links are part of a backup") {
    Place place;
    BackupWriter writer(place.repository, place.lock, sample_time());
    FileEntry link = empty_entry("data/link", "symlink", "/var/lib/rabbitmq/\xc3\xa4");
    link.origin = Origin{"/node/link", 0777, sample_time()};
    FileEntry directory = empty_entry("data/directory", "directory");
    directory.origin = Origin{"/node/directory", 02750, sample_time()};
    writer.add_entry(link);
    writer.add_entry(directory);
    const Summary summary = writer.publish(sample_summary());

    CHECK(summary.files == 2);
    CHECK(summary.bytes == 0);
    CHECK(summary.packs.empty());
    CHECK(place.repository.find_file(writer.id(), "data/link") == link);
    CHECK(place.repository.find_file(writer.id(), "data/directory") == directory);
    const VerifyReport report = verify_backup(place.repository, writer.id());
    CHECK(report.whole());
    CHECK(report.files == 2);
}

TEST_CASE("what the format does not allow ends the backup") {
    Place place;
    const auto check_refused = [&](const char* reason,
                                   const std::function<void(BackupWriter&)>& action) {
        CAPTURE(reason);
        BackupWriter writer(place.repository, place.lock, sample_time());
        writer.add_entry(empty_entry("data/taken", "directory"));
        const Error error = error_of([&] { action(writer); });
        CHECK(error.code() == ErrorCode::failed);
        CHECK(has(error.what(), reason));
        CHECK_FALSE(error.hint().empty());
        CHECK_THROWS_AS(writer.publish(sample_summary()), Error);
    };
    const auto refused_entry = [&](const char* reason, const FileEntry& entry) {
        check_refused(reason, [&](BackupWriter& writer) { writer.add_entry(entry); });
    };
    refused_entry("is not a name", empty_entry("data/../x", "data"));
    refused_entry("is not a name", empty_entry("data/\xff", "data"));
    refused_entry("is taken", empty_entry("data/taken", "data"));
    refused_entry("has no target", empty_entry("data/x", "symlink"));
    refused_entry("is no symbolic link", empty_entry("data/x", "data", "y"));
    refused_entry("is not UTF-8", empty_entry("data/x", "symlink", "\xff"));
    refused_entry("is not the name of a pack", data_entry("data/x", {{"x", 128, 1, {}, {}}}));
    refused_entry("is newer",
                  data_entry("data/x", {{"20301122T073241.512Z.0001", 128, 1, {}, {}}}));

    const auto refused_extent = [&](const char* reason, const std::string& kind,
                                    const std::function<void(FileEntry&)>& change) {
        check_refused(reason, [&](BackupWriter& writer) {
            FileEntry entry = data_entry("data/x", {writer.store("0123456789")});
            entry.kind = kind;
            change(entry);
            writer.add_entry(entry);
        });
    };
    refused_extent("do not add up", "data", [](FileEntry& e) { e.size = 11; });
    refused_extent("is empty", "data", [](FileEntry& e) { e.extents[0].size = e.size = 0; });
    refused_extent("is too large", "data",
                   [](FileEntry& e) { e.extents[0].size = e.size = max_extent_size + 1; });
    refused_extent("inside the header", "data", [](FileEntry& e) { e.extents[0].offset = 1; });
    refused_extent("has content", "directory", [](FileEntry&) {});
    refused_extent("has content", "symlink", [](FileEntry& e) { e.target = "y"; });

    check_refused("cannot have 0 bytes", [](BackupWriter& writer) { writer.store(""); });
    check_refused("cannot have 16777217 bytes", [](BackupWriter& writer) {
        writer.store(std::string(max_extent_size + 1, 'x'));
    });
    check_refused("was given up", [](BackupWriter& writer) {
        auto file = writer.add_file("metadata/snapshot", "metadata");
        file.append("x");
        writer.store("in the middle of an extent");
    });
}

TEST_CASE("a backup may name extents of an earlier one, and outlives it") {
    Place place;
    std::string first;
    Extent shared;
    {
        BackupWriter writer(place.repository, place.lock, sample_time());
        first = writer.id();
        shared = writer.store("of the first");
        writer.add_entry(data_entry("data/a", {shared}));
        writer.publish(sample_summary());
    }
    BackupWriter writer(place.repository, place.lock, sample_time());
    writer.add_entry(data_entry("data/a", {shared, writer.store(", of the second")}));
    const Summary summary = writer.publish(sample_summary());
    CHECK(summary.packs.size() == 1);
    CHECK(summary.stored_bytes == 27);

    CHECK(place.repository.remove(place.lock, first).packs == 0);
    CHECK(read_backup(place.repository, writer.id()).at("data/a") == "of the first, of the second");
    CHECK(verify_backup(place.repository, writer.id()).whole());
}

TEST_CASE("verify finds damage in a named extent, and no damage where no extent is") {
    Place place;
    BackupWriter writer(place.repository, place.lock, sample_time());
    const Extent dead = writer.store("never named");
    const Extent good = writer.store("good");
    const Extent bad = writer.store("bad");
    writer.add_entry(data_entry("data/good", {good}));
    writer.add_entry(data_entry("data/bad", {good, bad}));
    writer.publish(sample_summary());
    std::string& pack = place.disk.content(place.repository.pack_path(dead.pack.text()));

    for (std::uint64_t at = dead.offset; at < dead.offset + dead.size; ++at) {
        pack.at(at) ^= 1;
    }
    CHECK(verify_backup(place.repository, writer.id()).whole());
    CHECK(read_backup(place.repository, writer.id()).at("data/bad") == "goodbad");

    pack.at(bad.offset) ^= 1;
    const VerifyReport report = verify_backup(place.repository, writer.id());
    REQUIRE(report.findings.size() == 1);
    CHECK(report.findings[0].name == "data/bad");
    CHECK(report.findings[0].offset == bad.offset);
}
