// The bytes on disk, spelled out: docs/format.md. When a test here has to change, so has the
// version of the format.
#include "tests/repository/memory_file_system.hpp"
#include "tests/repository/sample.hpp"

#include <catch2/catch.hpp>

using namespace hot_backup;
using namespace repository_test;

namespace {

constexpr const char* id = "20261122T073241.512Z";

std::string seal_of(const std::string& text) {
    return "{\"xxh3_128\":\"" + checksum(text).hex() + "\"}\n";
}

std::string raw(const Digest& digest) {
    return {digest.bytes.begin(), digest.bytes.end()};
}

// A repository with one backup of two files in two packs.
void write_small(MemoryFileSystem& disk) {
    const Repository repository = Repository::open_or_create(
        disk, "/r", {"7bf1d3b0-6b1a-4d58-9c6c-2f6f0a1b2c3d", sample_time()});
    const Lock lock(disk, "/r", "create");
    BackupWriter writer(repository, lock, sample_time(), {.pack_size = 133, .extent_size = 3});
    auto snapshot = writer.add_file("metadata/snapshot", "metadata");
    snapshot.append("abcde");
    snapshot.close();
    auto conf = writer.add_file("configuration/rabbitmq.conf", "configuration",
                                Origin{"/etc/rabbitmq/rabbitmq.conf", 0640, sample_time()});
    conf.append("xy");
    conf.close();
    writer.publish(sample_summary(), sample_time() + std::chrono::milliseconds{1500});
}

std::string expected_manifest() {
    const std::string pack = std::string(id) + ".000";
    const std::string text =
        R"({"format":"rabbitmq-hot-backup manifest","version":1,"backup":"20261122T073241.512Z"})"
        "\n"
        R"({"summary":{"program":"0.1.0","kind":"full",)"
        R"("started":"2026-11-22T07:32:41.512000Z","finished":"2026-11-22T07:32:43.012000Z",)"
        R"("instant":"2026-11-22T07:32:41.513234Z","node":"rabbit@here","cluster":"rabbit@here",)"
        R"("rabbitmq_version":"3.10.8","erlang_version":"25.2.3","plugin_version":"0.1.0",)"
        R"("plugins":[{"name":"rabbitmq_management","version":"3.10.8"}],)"
        R"("data_dir":"/var/lib/rabbitmq/mnesia/rabbit@here",)"
        R"("metadata":{"store":"mnesia","activation_us":350,"messages":3,"items":42,)"
        R"("tables":["rabbit_durable_queue"],"skipped":[{"table":"own","reason":"local"}]},)"
        R"("counts":{"vhosts":1,"users":2,"queues":3,"exchanges":4,"bindings":5,"policies":6},)"
        R"("files":2,"bytes":7,"stored_bytes":7,"packs":[)"
        R"({"name":"20261122T073241.512Z.0001","bytes":133},)"
        R"({"name":"20261122T073241.512Z.0002","bytes":130}]}})"
        "\n"
        R"({"file":"configuration/rabbitmq.conf","kind":"configuration","size":2,)"
        R"("origin":"/etc/rabbitmq/rabbitmq.conf","mode":"0640",)"
        R"("mtime":"2026-11-22T07:32:41.512000Z","extents":[)"
        R"({"pack":"20261122T073241.512Z.0002","offset":128,"size":2,"xxh3_128":")" +
        checksum("xy").hex() +
        "\"}]}\n"
        R"({"file":"metadata/snapshot","kind":"metadata","size":5,"extents":[)"
        R"({"pack":"20261122T073241.512Z.0001","offset":128,"size":3,"xxh3_128":")" +
        checksum("abc").hex() +
        R"("},{"pack":"20261122T073241.512Z.0001","offset":131,"size":2,"xxh3_128":")" +
        checksum("de").hex() + "\"}]}\n";
    return text + seal_of(text);
}

std::string expected_pack(const std::string& number, const std::string& content) {
    std::string header = "RHBPACK\n";
    header += std::string("\0\0\0\1\0\0\0\0", 8);
    header += std::string(id) + '.' + number;
    header += std::string(112 - header.size(), '\0');
    return header + raw(checksum(header)) + content;
}

}  // namespace

TEST_CASE("a repository is written to the byte") {
    MemoryFileSystem disk;
    write_small(disk);
    const std::string description =
        R"({"format":"rabbitmq-hot-backup repository","version":1,)"
        R"("id":"7bf1d3b0-6b1a-4d58-9c6c-2f6f0a1b2c3d","created":"2026-11-22T07:32:41.512000Z"})"
        "\n";
    const Path manifest = "/r/manifests/20261122T073241.512Z.manifest";
    const Path first = "/r/packs/20261122T073241.512Z.0001.pack";
    const Path second = "/r/packs/20261122T073241.512Z.0002.pack";

    CHECK(disk.files() == std::vector<Path>{manifest, first, second, "/r/repository.json"});
    CHECK(disk.content("/r/repository.json") == description + seal_of(description));
    CHECK(disk.content(manifest) == expected_manifest());
    CHECK(disk.content(first) == expected_pack("0001", "abcde"));
    CHECK(disk.content(second) == expected_pack("0002", "xy"));
}

TEST_CASE("the files of a node and how they were cut are written to the byte") {
    MemoryFileSystem disk;
    const Repository repository = Repository::open_or_create(disk, "/r");
    const Lock lock(disk, "/r", "create");
    BackupWriter writer(repository, lock, sample_time());
    const Origin origin{"/node/x", 0750, sample_time()};
    writer.add_entry({"data/d", "directory", 0, origin, {}, {}});
    writer.add_entry({"data/d/file", "data", 1, origin, {writer.store("x")}, {}});
    writer.add_entry({"data/link", "symlink", 0, origin, {}, "d/file"});
    Summary summary = sample_summary();
    summary.messages = MessageTotals{2, 1200, 34, 56'700'000, sample_time()};
    summary.cut = CutSummary{900, 5200, 6100, 1, 3, 12, 4096, 70000};
    writer.publish(summary);

    const std::string& manifest = disk.content(repository.manifest_path(id));
    CHECK(has(manifest, R"("policies":6},"messages":{"queues":2,"ready":1200,"unacknowledged":34,)"
                        R"("bytes":56700000,"counted":"2026-11-22T07:32:41.512000Z"},)"
                        R"("cut":{"acquisition_us":900,"hold_us":5200,)"
                        R"("pause_us":6100,"attempts":1,"passes":3,"files":12,)"
                        R"("memory_bytes":4096,"tail_bytes":70000},"files":3,)"));
    const std::string node =
        R"("origin":"/node/x","mode":"0750","mtime":"2026-11-22T07:32:41.512000Z",)";
    CHECK(has(manifest,
              "\n"
              R"({"file":"data/d","kind":"directory","size":0,)" +
                  node +
                  R"("extents":[]})"
                  "\n"
                  R"({"file":"data/d/file","kind":"data","size":1,)" +
                  node +
                  R"("extents":[{"pack":"20261122T073241.512Z.0001","offset":128,)"
                  R"("size":1,"xxh3_128":")" +
                  checksum("x").hex() +
                  R"("}]})"
                  "\n"
                  R"({"file":"data/link","kind":"symlink","size":0,)"
                  R"("target":"d/file",)" +
                  node +
                  R"("extents":[]})"
                  "\n"));
    CHECK(repository.read_manifest(id).summary().messages == summary.messages);
    CHECK(repository.read_manifest(id).summary().cut == summary.cut);
}

TEST_CASE("what is written can be read") {
    MemoryFileSystem disk;
    const Repository repository = Repository::open_or_create(disk, "/r");
    const std::string backup = write_sample(repository);
    CHECK(backup == id);

    const Repository again = Repository::open(disk, "/r");
    CHECK(again.list() == std::vector<std::string>{id});
    CHECK(read_backup(again, id) == sample_files());

    const Summary summary = again.read_manifest(id).summary();
    Summary expected = sample_summary();
    expected.started = sample_time();
    expected.finished = sample_time() + std::chrono::seconds{1};
    expected.files = 3;
    expected.bytes = expected.stored_bytes = 329;
    expected.packs = summary.packs;
    CHECK(summary == expected);

    const VerifyReport report = verify_backup(again, id);
    CHECK(report.whole());
    CHECK(report.files == 3);
    CHECK(report.bytes == 329);
}

TEST_CASE("packs and extents are not longer than they may be") {
    MemoryFileSystem disk;
    const Repository repository = Repository::open_or_create(disk, "/r");
    const std::string backup = write_sample(repository);
    ManifestReader manifest = repository.read_manifest(backup);
    CHECK(manifest.summary().packs.size() > 1);
    while (const auto entry = manifest.next_file()) {
        for (const Extent& extent : entry->extents) {
            CHECK(extent.size <= sample_options().extent_size);
            CHECK(extent.offset < sample_options().pack_size);
        }
    }
}

TEST_CASE("the program itself uses extents of 4 MiB") {
    MemoryFileSystem disk;
    const Repository repository = Repository::open_or_create(disk, "/r");
    const Lock lock(disk, "/r", "create");
    BackupWriter writer(repository, lock);
    auto file = writer.add_file("metadata/snapshot", "metadata");
    const std::string content = sample_bytes((std::size_t{9} << 20) + 1);
    file.append(content);
    file.close();
    writer.publish(sample_summary());

    const FileEntry entry = repository.find_file(writer.id(), "metadata/snapshot");
    REQUIRE(entry.extents.size() == 3);
    CHECK(entry.extents[0].size == std::uint64_t{4} << 20);
    CHECK(entry.extents[2].size == (1U << 20) + 1);
    CHECK(read_backup(repository, writer.id()).at("metadata/snapshot") == content);
}
