// A disk that is really full: a small tmpfs in a mount namespace of its own, at every size from too
// small for anything to large enough.
#include "sidecar/repository/marks.hpp"
#include "tests/harness/temp_dir.hpp"
#include "tests/repository/child.hpp"
#include "tests/repository/sample.hpp"

#include <sched.h>
#include <sys/mount.h>
#include <catch2/catch.hpp>
#include <cerrno>
#include <iostream>

using namespace hot_backup;
using namespace repository_test;

namespace {

// Runs `body` in a child process with its own mounts, where `place` is a file system of
// `kibibytes`. Returns what the body returned; 77 when we may not mount.
template <class Body>
int on_small_disk(const Path& place, unsigned kibibytes, Body&& body) {
    return Child([&] {
               if (::unshare(CLONE_NEWNS) != 0 ||
                   ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
                   ::mount("none", place.c_str(), "tmpfs", 0,
                           ("size=" + std::to_string(kibibytes) + 'k').c_str()) != 0) {
                   return 77;
               }
               return body();
           })
        .wait();
}

bool may_mount(const Path& place) {
    if (on_small_disk(place, 64, [] { return 0; }) == 0) {
        return true;
    }
    std::cout << "skipped: only root may mount a small file system\n";
    return false;
}

void write_large(const Repository& repository, std::size_t size) {
    const Lock lock(posix_file_system(), repository.directory(), "create");
    BackupWriter writer(repository, lock);
    auto file = writer.add_file("metadata/snapshot", "metadata");
    file.append(sample_bytes(size));
    file.close();
    writer.publish(sample_summary());
}

// Writes until no byte fits any more.
void fill(const Path& path) {
    const auto file = posix_file_system().create(path);
    for (std::size_t size = 65536; size > 0;) {
        try {
            file->append(std::string(size, 'x'));
        } catch (const SystemError& error) {
            REQUIRE(error.no_space());
            size /= 2;
        }
    }
}

}  // namespace

TEST_CASE("a backup that does not fit ends in one clear error and leaves nothing") {
    const harness::TempDir place;
    if (!may_mount(place.path())) {
        return;
    }
    unsigned failures = 0;
    int result = 1;
    for (unsigned kibibytes = 4; result != 0; kibibytes += 4) {
        result = on_small_disk(place.path(), kibibytes, [&] {
            const Path directory = place / "r";
            try {
                write_large(Repository::open_or_create(posix_file_system(), directory), 100'000);
            } catch (const Error& error) {
                const bool clear = has(error.what(), "No space left on device") &&
                                   has(error.what(), directory.string()) &&
                                   has(error.hint(), "Free space");
                if (!clear) {
                    return 2;
                }
                if (!std::filesystem::exists(directory / "repository.json")) {
                    return 1;
                }
                const Repository repository = Repository::open(posix_file_system(), directory);
                const bool nothing_left = repository.list().empty() &&
                                          posix_file_system().list(repository.packs()).empty() &&
                                          posix_file_system().list(repository.manifests()).empty();
                return nothing_left ? 1 : 3;
            }
            const Repository repository = Repository::open(posix_file_system(), directory);
            return verify_backup(repository, repository.resolve("latest")).whole() ? 0 : 4;
        });
        CAPTURE(kibibytes);
        REQUIRE((result == 0 || result == 1));
        failures += result == 1 ? 1 : 0;
        REQUIRE(kibibytes < 1000);
    }
    CHECK(failures >= 25);
}

TEST_CASE("on a full disk a backup can be deleted, and then another one fits") {
    const harness::TempDir place;
    if (!may_mount(place.path())) {
        return;
    }
    const int result = on_small_disk(place.path(), 512, [&] {
        FileSystem& disk = posix_file_system();
        const Repository repository = Repository::open_or_create(disk, place / "r");
        write_large(repository, 200'000);
        const std::string first = repository.resolve("latest");
        fill(place / "other");
        if (error_of([&] { write_large(repository, 100'000); }).hint().empty()) {
            return 2;
        }
        {
            const Lock lock(disk, repository.directory(), "delete");
            repository.remove(lock, first);
        }
        write_large(repository, 100'000);
        return verify_backup(repository, repository.resolve("latest")).whole() ? 0 : 3;
    });
    CHECK(result == 0);
}

TEST_CASE(
    "on a full disk a mark fails in one clear error, the old one stays, and a deletion works") {
    const harness::TempDir place;
    if (!may_mount(place.path())) {
        return;
    }
    const int result = on_small_disk(place.path(), 512, [&] {
        FileSystem& disk = posix_file_system();
        const Repository repository = Repository::open_or_create(disk, place / "r");
        write_large(repository, 200'000);
        const std::string id = repository.resolve("latest");
        protect(repository, id, {sample_time(), "old"});
        fill(place / "other");
        const Error error = error_of([&] { protect(repository, id, {sample_time(), "new"}); });
        if (!has(error.what(), "No space left on device") || !has(error.hint(), "Free space")) {
            return 2;
        }
        if (read_marks(repository, id).protection->reason != "old" ||
            disk.list(repository.marks()).size() != 1) {
            return 3;
        }
        unprotect(repository, id);
        const Lock lock(disk, repository.directory(), "delete");
        repository.remove(lock, id);
        return repository.list().empty() && disk.list(repository.marks()).empty() ? 0 : 4;
    });
    CHECK(result == 0);
}
