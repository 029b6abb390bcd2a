// Memory does not grow with what is stored. Resident memory is measured, so this is a test of its
// own, and says nothing under AddressSanitizer, which keeps freed memory.
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

// The most memory that was ever resident, in bytes.
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

TEST_CASE("writing, verifying and reading 512 MiB takes a few MiB of memory") {
    const harness::TempDir place;
    const Repository repository = Repository::open_or_create(posix_file_system(), place / "r");
    const std::uint64_t total = (measurable ? 512 : 32) * mebibyte;
    const std::string piece = sample_bytes(mebibyte + 12345);
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
                               {{id + ".0001", 128 + i, 1, {}, {}}}});
        }
        writer.finish();
    }
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
