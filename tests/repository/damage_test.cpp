// Corrupt on purpose: whatever byte of a repository changes, verify names the file that it belongs
// to, and nothing else.
#include "sidecar/repository/identifier.hpp"
#include "tests/repository/memory_file_system.hpp"
#include "tests/repository/sample.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <set>

using namespace hot_backup;
using namespace repository_test;

namespace {

const std::string id = "20261122T073241.512Z";

// A repository with one sample backup, in memory.
struct Sample {
    MemoryFileSystem disk;
    Repository repository = Repository::open_or_create(disk, "/r");

    Sample() { write_sample(repository); }
};

// What verify says: "what name" of each finding. Opening the repository is a part of it.
std::set<std::string> verify(MemoryFileSystem& disk) {
    std::set<std::string> named;
    try {
        const Repository repository = Repository::open(disk, "/r");
        for (const Finding& finding : verify_backup(repository, id).findings) {
            const char* what = finding.what == Finding::What::file       ? "file "
                               : finding.what == Finding::What::manifest ? "manifest "
                                                                         : "pack ";
            named.insert(what + finding.name);
        }
    } catch (const Error& error) {
        REQUIRE(error.code() == ErrorCode::damaged);
        REQUIRE(has(error.what(), "/r/repository.json"));
        named.insert("repository.json");
    }
    return named;
}

// What verify has to say when one byte of this file of the repository changes.
std::set<std::string> expected(const Repository& repository, const Path& path,
                               std::uint64_t offset) {
    if (path.filename() == "repository.json") {
        return {"repository.json"};
    }
    if (path.extension() == ".manifest") {
        return {"manifest manifests/" + path.filename().string()};
    }
    ManifestReader manifest = repository.read_manifest(id);
    while (const auto entry = manifest.next_file()) {
        for (const Extent& extent : entry->extents) {
            if (extent.pack == path.stem().string() && offset >= extent.offset &&
                offset < extent.offset + extent.size) {
                return {"file " + entry->path};
            }
        }
    }
    return {"pack packs/" + path.filename().string()};
}

}  // namespace

TEST_CASE("every changed byte is found, and named") {
    Sample sample;
    REQUIRE(verify(sample.disk).empty());
    for (const Path& path : sample.disk.files()) {
        std::string& content = sample.disk.content(path);
        for (std::size_t at = 0; at < content.size(); ++at) {
            const auto wanted = expected(sample.repository, path, at);
            const char old = content[at];
            content[at] = static_cast<char>(static_cast<unsigned char>(old) ^ (1U << (at % 8)));
            const auto named = verify(sample.disk);
            content[at] = old;
            if (named != wanted) {
                CAPTURE(path, at);
                REQUIRE(named == wanted);
            }
        }
    }
}

TEST_CASE("every truncation is found, and the file named") {
    Sample sample;
    for (const Path& path : sample.disk.files()) {
        const std::string content = sample.disk.content(path);
        for (std::size_t size = 0; size < content.size(); ++size) {
            sample.disk.content(path).resize(size);
            const auto named = verify(sample.disk);
            sample.disk.content(path) = content;
            CAPTURE(path, size);
            REQUIRE(named.contains(*expected(sample.repository, path, 0).begin()));
            // The extents that are cut off are damage of their files.
            if (path.extension() == ".pack") {
                const auto file = *expected(sample.repository, path, content.size() - 1).begin();
                REQUIRE(named.contains(file));
            }
        }
    }
}

TEST_CASE("bytes added at the end are found, and the file named") {
    Sample sample;
    for (const Path& path : sample.disk.files()) {
        for (const char* extra : {"x", "\n", "{}\n"}) {
            const std::string content = sample.disk.content(path);
            sample.disk.content(path) += extra;
            const auto named = verify(sample.disk);
            sample.disk.content(path) = content;
            CAPTURE(path);
            REQUIRE(named == expected(sample.repository, path, 0));
        }
    }
}

TEST_CASE("a missing pack is found, and every file in it named") {
    Sample sample;
    const Path pack = sample.repository.pack_path(pack_name(id, 1));
    sample.disk.remove(pack);
    const VerifyReport report = verify_backup(sample.repository, id);
    REQUIRE(report.findings.size() == 3);
    CHECK(report.findings[0].name == "packs/" + id + ".0001.pack");
    CHECK(report.findings[0].reason == "pack is missing");
    CHECK(report.findings[1].name == "configuration/rabbitmq.conf");
    CHECK(report.findings[2].name == "metadata/snapshot");
    CHECK(report.findings[2].pack == id + ".0001");
    CHECK(report.findings[2].offset == 157);
    CHECK(report.findings[2].extents == 2);
}

TEST_CASE("two packs that changed places are found") {
    Sample sample;
    std::swap(sample.disk.content(sample.repository.pack_path(pack_name(id, 1))),
              sample.disk.content(sample.repository.pack_path(pack_name(id, 2))));
    const auto named = verify(sample.disk);
    CHECK(named.contains("pack packs/" + id + ".0001.pack"));
    CHECK(named.contains("pack packs/" + id + ".0002.pack"));
    CHECK(named.contains("file metadata/snapshot"));
}

TEST_CASE("a manifest under another name is not taken for another backup") {
    Sample sample;
    const std::string other = "20261122T073241.999Z";
    sample.disk.put(sample.repository.manifest_path(other),
                    sample.disk.content(sample.repository.manifest_path(id)));
    const VerifyReport report = verify_backup(sample.repository, other);
    REQUIRE(report.findings.size() == 1);
    CHECK(has(report.findings[0].reason, "it is the manifest of another backup"));
}

TEST_CASE("a reader of a file never gets damaged bytes") {
    Sample sample;
    const Path pack = sample.repository.pack_path(pack_name(id, 1));
    sample.disk.content(pack).back() ^= 1;
    const Error error = error_of([&] { read_backup(sample.repository, id); });
    CHECK(error.code() == ErrorCode::damaged);
    CHECK(has(error.what(), "metadata/snapshot is damaged: "));
    CHECK(has(error.what(), pack.string()));
    CHECK(has(error.what(), "offset "));
    CHECK_FALSE(error.hint().empty());
}

TEST_CASE("files can be read from a pack whose header is damaged") {
    Sample sample;
    sample.disk.content(sample.repository.pack_path(pack_name(id, 1)))[0] ^= 1;
    CHECK(read_backup(sample.repository, id) == sample_files());
}

TEST_CASE("a pack of a newer version is refused, not called damaged") {
    Sample sample;
    std::string& pack = sample.disk.content(sample.repository.pack_path(pack_name(id, 1)));
    pack[11] = 2;
    const Digest digest = checksum(std::string_view(pack).substr(0, 112));
    std::copy(digest.bytes.begin(), digest.bytes.end(), pack.begin() + 112);

    for (const auto& action :
         std::vector<std::function<void()>>{[&] { verify_backup(sample.repository, id); },
                                            [&] { read_backup(sample.repository, id); }}) {
        const Error error = error_of(action);
        CHECK(error.code() == ErrorCode::failed);
        CHECK(has(error.what(), "format version 2"));
        CHECK(has(error.hint(), "newer"));
    }
}

TEST_CASE("verify reports its progress and can be interrupted") {
    Sample sample;
    std::vector<std::uint64_t> progress;
    verify_backup(sample.repository, id,
                  {.progress =
                       [&](std::uint64_t done, std::uint64_t total) {
                           CHECK(total == 329);
                           progress.push_back(done);
                       },
                   .interrupt = {}});
    CHECK(std::is_sorted(progress.begin(), progress.end()));
    CHECK(progress.back() == 329);

    const Error error = error_of([&] {
        verify_backup(sample.repository, id,
                      {.progress = {},
                       .interrupt = [] { throw Error(ErrorCode::interrupted, "interrupted"); }});
    });
    CHECK(error.code() == ErrorCode::interrupted);
}

TEST_CASE("a backup that is deleted while it is verified is not called damaged") {
    Sample sample;
    const Error error = error_of([&] {
        verify_backup(sample.repository, id, {.progress = {}, .interrupt = [&] {
                                                  if (!sample.repository.list().empty()) {
                                                      const Lock lock(sample.disk, "/r", "delete");
                                                      sample.repository.remove(lock, id);
                                                  }
                                              }});
    });
    CHECK(error.code() == ErrorCode::not_found);
    CHECK(has(error.what(), "was deleted while it was verified"));
    CHECK_FALSE(error.hint().empty());
}
