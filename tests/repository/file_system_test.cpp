// The real file system: permissions, errors and their hints, writes that come to an end half-way.
#include "sidecar/repository/file_system.hpp"
#include "tests/harness/temp_dir.hpp"
#include "tests/repository/child.hpp"
#include "tests/repository/sample.hpp"

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <catch2/catch.hpp>
#include <cerrno>
#include <csignal>

using namespace hot_backup;
using namespace repository_test;

namespace {

unsigned mode_of(const Path& path) {
    struct stat status {};
    REQUIRE(::stat(path.c_str(), &status) == 0);
    return status.st_mode & 07777U;
}

// Sets the umask as long as it lives.
class Umask {
public:
    explicit Umask(mode_t mask) : old_(::umask(mask)) {}
    Umask(const Umask&) = delete;
    Umask& operator=(const Umask&) = delete;
    ~Umask() { ::umask(old_); }

private:
    mode_t old_;
};

// Lets no file of this process grow beyond `bytes`, as long as it lives: the write that would do so
// is cut short, the next one fails.
class FileSizeLimit {
public:
    explicit FileSizeLimit(rlim_t bytes) : old_handler_(std::signal(SIGXFSZ, SIG_IGN)) {
        ::getrlimit(RLIMIT_FSIZE, &old_);
        const rlimit limit{bytes, old_.rlim_max};
        ::setrlimit(RLIMIT_FSIZE, &limit);
    }
    FileSizeLimit(const FileSizeLimit&) = delete;
    FileSizeLimit& operator=(const FileSizeLimit&) = delete;
    ~FileSizeLimit() {
        ::setrlimit(RLIMIT_FSIZE, &old_);
        std::signal(SIGXFSZ, old_handler_);
    }

private:
    rlimit old_{};
    void (*old_handler_)(int);
};

}  // namespace

TEST_CASE("what is made is private, whatever the umask is") {
    const harness::TempDir place;
    FileSystem& disk = posix_file_system();
    for (const mode_t mask : {0U, 022U, 077U, 0777U}) {
        const Path directory = place / ("d" + std::to_string(mask));
        const Umask umask(mask);
        disk.make_directory(directory);
        disk.create(directory / "file");
        disk.open_or_create(directory / "lock");
        CHECK(mode_of(directory) == 0700);
        CHECK(mode_of(directory / "file") == 0600);
        CHECK(mode_of(directory / "lock") == 0600);
    }
}

TEST_CASE("an existing directory keeps its permissions") {
    const harness::TempDir place;
    REQUIRE(::chmod(place.path().c_str(), 0750) == 0);
    posix_file_system().make_directory(place.path());
    CHECK(mode_of(place.path()) == 0750);
}

TEST_CASE("a repository is private") {
    const harness::TempDir place;
    const Umask umask(0);
    write_sample(Repository::open_or_create(posix_file_system(), place / "r"));
    CHECK(mode_of(place / "r") == 0700);
    for (const auto& entry : std::filesystem::recursive_directory_iterator(place / "r")) {
        CAPTURE(entry.path());
        CHECK(mode_of(entry.path()) == (entry.is_directory() ? 0700U : 0600U));
    }
}

TEST_CASE("what is appended is read back") {
    const harness::TempDir place;
    FileSystem& disk = posix_file_system();
    const auto file = disk.create(place / "file");
    const std::string bytes = sample_bytes(5'000'000);
    file->append(bytes);
    file->write_behind(1'000'000);
    file->append("end");
    file->write_behind(0);
    file->sync();
    CHECK(file->status().size == bytes.size() + 3);

    const auto again = disk.open(place / "file");
    again->read_from_disk();
    std::string read(bytes.size() + 100, '\0');
    read.resize(again->read_at(0, read));
    CHECK(read == bytes + "end");
    CHECK(again->read_at(10'000'000, read) == 0);
    CHECK(again->status().identity == file->status().identity);
    file->clear();
    file->append("new");
    CHECK(again->status().size == 3);
}

TEST_CASE("a write that is cut short goes on, and the error names the file") {
    const harness::TempDir place;
    const auto file = posix_file_system().create(place / "file");
    const FileSizeLimit limit(100'000);
    const Error error = error_of([&] { file->append(std::string(1'000'000, 'x')); });
    CHECK(has(error.what(), "cannot write to " + (place / "file").string() + ": File too large"));
    CHECK(file->status().size == 100'000);
}

TEST_CASE("an error says what, where and why") {
    const harness::TempDir place;
    FileSystem& disk = posix_file_system();
    const Error missing = error_of([&] { disk.open(place / "none"); });
    CHECK(missing.code() == ErrorCode::not_found);
    CHECK(missing.what() ==
          "cannot open " + (place / "none").string() + ": No such file or directory");

    harness::write_file(place / "file", "x");
    for (const auto& action : std::vector<std::function<void()>>{
             [&] { disk.create(place / "file"); },
             [&] { disk.make_directory(place / "file"); },
             [&] { disk.make_directory(place / "none/none"); },
             [&] { disk.list(place / "none"); },
             [&] { disk.list(place / "file"); },
             [&] { disk.rename(place / "none", place / "other"); },
             [&] { disk.remove(place.path()); },
             [&] { disk.sync_directory(place / "file"); },
         }) {
        CHECK(has(error_of(action).what(), place.path().string()));
    }
    CHECK_FALSE(disk.status(place / "none"));
    CHECK_FALSE(disk.status(place / "file/none"));
    CHECK_NOTHROW(disk.remove(place / "none"));
}

TEST_CASE("an error hints at what to do") {
    CHECK(has(SystemError(ENOSPC, "write to", "/r/x").hint(), "Free space"));
    CHECK(has(SystemError(EDQUOT, "write to", "/r/x").hint(), "quota"));
    CHECK(has(SystemError(EACCES, "open", "/r/x").hint(), "user"));
    CHECK(has(SystemError(EPERM, "open", "/r/x").hint(), "user"));
    CHECK(has(SystemError(EROFS, "write to", "/r/x").hint(), "read-only"));
    CHECK(has(SystemError(EIO, "write to", "/r/x").hint(), "kernel log"));
    CHECK(SystemError(ENOSPC, "write to", "/r/x").no_space());
}

TEST_CASE("a lock's file is not made through a symbolic link") {
    const harness::TempDir place;
    std::filesystem::create_symlink(place / "elsewhere", place / "lock");
    CHECK_THROWS_AS(posix_file_system().open_or_create(place / "lock"), Error);
    CHECK_FALSE(std::filesystem::exists(place / "elsewhere"));
}

TEST_CASE("what is not a regular file is refused, and nobody waits for a FIFO") {
    const harness::TempDir place;
    REQUIRE(::mkfifo((place / "fifo").c_str(), 0600) == 0);
    REQUIRE(::chmod((place / "fifo").c_str(), 0640) == 0);
    std::filesystem::create_directory(place / "directory");
    // In a child, which an alarm ends should it wait.
    const int result =
        Child([&] {
            ::alarm(10);
            FileSystem& disk = posix_file_system();
            const Error fifo = error_of([&] { disk.open(place / "fifo"); });
            const Error directory = error_of([&] { disk.open(place / "directory"); });
            const Error lock = error_of([&] { disk.open_or_create(place / "fifo"); });
            const bool good = fifo.code() == ErrorCode::damaged &&
                              has(fifo.what(), "fifo is not a regular file") &&
                              !fifo.hint().empty() && directory.code() == ErrorCode::damaged &&
                              lock.code() == ErrorCode::failed;
            return good ? 7 : 8;
        }).wait();
    CHECK(result == 7);
    CHECK(mode_of(place / "fifo") == 0640);
}

TEST_CASE("a manifest or pack that is a FIFO is damage") {
    const harness::TempDir place;
    const int result =
        Child([&] {
            ::alarm(10);
            const Repository repository =
                Repository::open_or_create(posix_file_system(), place / "r");
            const std::string id = write_sample(repository);
            const Path pack = repository.pack_path(id + ".0001");
            std::filesystem::remove(pack);
            if (::mkfifo(pack.c_str(), 0600) != 0 || verify_backup(repository, id).whole()) {
                return 8;
            }
            std::filesystem::remove(repository.manifest_path(id));
            if (::mkfifo(repository.manifest_path(id).c_str(), 0600) != 0) {
                return 9;
            }
            const Error error = error_of([&] { repository.read_manifest(id); });
            return error.code() == ErrorCode::damaged ? 7 : 10;
        }).wait();
    CHECK(result == 7);
}

TEST_CASE("every error of the system has a hint") {
    for (const int number : {ENOSPC, EDQUOT, EACCES, EPERM, EROFS, EIO, EMFILE, ENFILE, ENOENT,
                             ENOTDIR, EISDIR, EEXIST, ELOOP, ENAMETOOLONG, EFBIG, ESTALE}) {
        CAPTURE(number);
        CHECK_FALSE(SystemError(number, "open", "/r/x").hint().empty());
    }
    CHECK(has(SystemError(EEXIST, "create", "/r/x").hint(), "move /r/x away"));
    CHECK(has(SystemError(ELOOP, "create", "/r/x").hint(), "symbolic link /r/x"));
    CHECK(has(SystemError(EFBIG, "write to", "/r/x").hint(), "ulimit -f"));
}

TEST_CASE("a path lies within a directory by whole names") {
    for (const char* path : {"/a/b", "/a/b/", "/a/b/c", "/a/b/c/d"}) {
        CHECK(is_within(path, "/a/b"));
    }
    for (const char* path : {"/a", "/a/bc", "/a/c/b", "a/b", ""}) {
        CHECK_FALSE(is_within(path, "/a/b"));
    }
    CHECK(is_within("/a", "/"));
    CHECK(is_within("/", "/"));
    CHECK_FALSE(is_within("a", "/"));
}
