// Memory does not grow with what is stored. Resident memory is measured, so this is a test of its
// own, and says nothing under AddressSanitizer, which keeps freed memory.
#include "sidecar/repository/archive.hpp"
#include "tests/harness/temp_dir.hpp"
#include "tests/repository/sample.hpp"

#include <catch2/catch.hpp>
#include <fstream>

using namespace hot_backup;
using namespace repository_test;

namespace {

#ifdef __SANITIZE_ADDRESS__
constexpr bool measurable = false;
#else
constexpr bool measurable = true;
#endif

constexpr std::uint64_t mebibyte = std::uint64_t{1} << 20;

// From now on peak_memory() counts from what is resident now: what other tests took does not hide
// what this one takes.
void reset_peak_memory() {
    std::ofstream("/proc/self/clear_refs") << 5;
}

// The most memory that was resident, in bytes.
std::uint64_t peak_memory() {
    std::ifstream status("/proc/self/status");
    for (std::string word; status >> word;) {
        if (word == "VmHWM:") {
            std::uint64_t kibibytes = 0;
            status >> kibibytes;
            return kibibytes * 1024;
        }
    }
    throw std::runtime_error("no VmHWM in /proc/self/status");
}

}  // namespace

TEST_CASE("writing, verifying, reading and archiving 512 MiB takes a few MiB of memory") {
    const harness::TempDir place;
    const Repository repository = Repository::open_or_create(posix_file_system(), place / "r");
    const std::uint64_t total = (measurable ? 512 : 32) * mebibyte;
    const std::string piece = sample_bytes(mebibyte + 12345);
    reset_peak_memory();
    const std::uint64_t before = peak_memory();

    const Lock lock(posix_file_system(), repository.directory(), "create");
    BackupWriter writer(repository, lock);
    auto file = writer.add_file("metadata/snapshot", "metadata");
    while (file.size() < total) {
        file.append(piece);
    }
    const std::uint64_t size = file.size();
    file.close();
    writer.publish(sample_summary());
    const std::uint64_t after_writing = peak_memory();
    if (measurable) {
        CHECK(after_writing - before < 8 * mebibyte);
    }

    const VerifyReport report = verify_backup(repository, writer.id());
    CHECK(report.whole());
    CHECK(report.bytes == size);

    FileReader reader(repository, repository.find_file(writer.id(), "metadata/snapshot"));
    std::uint64_t read = 0;
    while (const auto bytes = reader.next()) {
        read += bytes->size();
    }
    CHECK(read == size);

    const Archive archive(repository, writer.id());
    std::uint64_t archived = 0;
    archive.write([&](std::string_view bytes) { archived += bytes.size(); });
    CHECK(archived == archive.bytes());
    if (measurable) {
        CHECK(peak_memory() - before < 24 * mebibyte);
    }
}

TEST_CASE("a manifest of many files is read in the memory of one") {
    const harness::TempDir place;
    constexpr std::uint64_t files = measurable ? 100'000 : 1'000;
    const std::string id = "20261122T073241.512Z";
    {
        Summary summary = sample_summary();
        summary.files = files;
        summary.bytes = summary.stored_bytes = files;
        const auto file = posix_file_system().create(place / "m");
        ManifestWriter writer(*file, id, summary);
        for (std::uint64_t i = 0; i < files; ++i) {
            writer.write_file({"data/" + std::to_string(1'000'000 + i),
                               "data",
                               1,
                               {},
                               {{id + ".0001", 128 + i, 1, {}, {}}},
                               {}});
        }
        writer.finish();
    }
    reset_peak_memory();
    const std::uint64_t before = peak_memory();
    ManifestReader reader(posix_file_system(), place / "m", id);
    std::uint64_t read = 0;
    while (reader.next_file()) {
        ++read;
    }
    CHECK(read == files);
    if (measurable) {
        CHECK(peak_memory() - before < 4 * mebibyte);
    }
}

TEST_CASE("publishing 100,000 files of 500,000 extents takes a few hundred bytes for each") {
    const harness::TempDir place;
    constexpr std::uint64_t files = measurable ? 100'000 : 1'000;
    constexpr std::uint64_t extents_of_a_file = 5;
    const Repository repository = Repository::open_or_create(posix_file_system(), place / "r");
    const Lock lock(posix_file_system(), repository.directory(), "create");
    BackupWriter writer(repository, lock);
    const Extent stored = writer.store("content");
    const std::string directory = "msg_stores/vhosts/628WB79CIFDYO9LJI6DKMI09L/queues/";
    reset_peak_memory();
    const std::uint64_t before = peak_memory();
    for (std::uint64_t i = 0; i < files; ++i) {
        FileEntry entry;
        entry.path = "data/" + directory + std::to_string(1'000'000 + i) + ".idx";
        entry.kind = "data";
        entry.origin = Origin{"/var/lib/rabbitmq/mnesia/rabbit@here/" + directory +
                                  std::to_string(1'000'000 + i) + ".idx",
                              0640, sample_time()};
        entry.extents.assign(extents_of_a_file, stored);
        entry.size = extents_of_a_file * stored.size;
        writer.add_entry(std::move(entry));
    }
    const std::uint64_t added = peak_memory() - before;
    CHECK(writer.publish(sample_summary()).files == files);
    if (measurable) {
        CHECK(added < files * 1000);
        // The manifest is written and read back in the memory of a line.
        CHECK(peak_memory() - before - added < 4 * mebibyte);
    }
}
