// Cuts the power before every call to the file system: a backup that was published is still there
// and whole, one that was not is not listed or is whole, and the next run works.
#include "tests/repository/faulty_file_system.hpp"
#include "tests/repository/memory_file_system.hpp"
#include "tests/repository/sample.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cerrno>
#include <functional>

using namespace hot_backup;
using namespace repository_test;

namespace {

const Timestamp first_time = sample_time();
const Timestamp second_time = sample_time() + std::chrono::hours{1};
const Timestamp third_time = sample_time() + std::chrono::hours{2};

// How the power goes: once with nothing of what was not synced left, then by chance.
#ifdef __SANITIZE_ADDRESS__
constexpr unsigned cuts = 3;  // the sanitizers make each run fifty times slower
#else
constexpr unsigned cuts = 12;
#endif

void cut(MemoryFileSystem& disk, unsigned number) {
    if (number == 0) {
        disk.cut_power();
    } else {
        std::mt19937 random(number);
        disk.cut_power(random);
    }
}

// Runs `action` on a fresh disk made by `prepare` until just before each of its calls, where the
// power goes. `check` hears whether the action had come to its end.
void cut_at_every_call(const std::function<void(MemoryFileSystem&)>& prepare,
                       const std::function<void(FileSystem&)>& action,
                       const std::function<void(MemoryFileSystem&, bool done)>& check) {
    for (unsigned number = 0; number < cuts; ++number) {
        bool struck = true;
        for (std::uint64_t at = 1; struck; ++at) {
            CAPTURE(number, at);
            MemoryFileSystem disk;
            prepare(disk);
            FaultyFileSystem faulty(disk, {.at = at, .error = EIO, .lasting = true});
            bool done = false;
            try {
                action(faulty);
                done = true;
            } catch (const Error&) {
            }
            struck = faulty.struck();
            cut(disk, number);
            check(disk, done);
        }
    }
}

void require_whole(const Repository& repository) {
    for (const std::string& id : repository.list()) {
        REQUIRE(verify_backup(repository, id).whole());
        REQUIRE(read_backup(repository, id) == sample_files());
    }
}

bool lists(const Repository& repository, const std::string& id) {
    const auto ids = repository.list();
    return std::find(ids.begin(), ids.end(), id) != ids.end();
}

}  // namespace

TEST_CASE("the power goes during a first backup") {
    cut_at_every_call(
        [](MemoryFileSystem&) {},
        [](FileSystem& disk) { write_sample(Repository::open_or_create(disk, "/r"), first_time); },
        [](MemoryFileSystem& disk, bool done) {
            const Repository repository = Repository::open_or_create(disk, "/r");
            REQUIRE((!done || repository.list().size() == 1));
            require_whole(repository);
            write_sample(repository, second_time);
            require_whole(repository);
        });
}

TEST_CASE("the power goes during a second backup") {
    const std::string first = "20261122T073241.512Z";
    const std::string second = "20261122T083241.512Z";
    cut_at_every_call(
        [&](MemoryFileSystem& disk) {
            write_sample(Repository::open_or_create(disk, "/r"), first_time);
        },
        [](FileSystem& disk) { write_sample(Repository::open(disk, "/r"), second_time); },
        [&](MemoryFileSystem& disk, bool done) {
            const Repository repository = Repository::open(disk, "/r");
            REQUIRE(lists(repository, first));
            REQUIRE((!done || lists(repository, second)));
            require_whole(repository);
            write_sample(repository, third_time);
            require_whole(repository);
        });
}

TEST_CASE("the power goes during a deletion") {
    const std::string first = "20261122T073241.512Z";
    cut_at_every_call(
        [&](MemoryFileSystem& disk) {
            const Repository repository = Repository::open_or_create(disk, "/r");
            write_sample(repository, first_time);
            write_sample(repository, second_time);
        },
        [&](FileSystem& disk) {
            const Repository repository = Repository::open(disk, "/r");
            const Lock lock(disk, "/r", "delete");
            repository.remove(lock, first);
        },
        [&](MemoryFileSystem& disk, bool done) {
            const Repository repository = Repository::open(disk, "/r");
            REQUIRE((!done || !lists(repository, first)));
            require_whole(repository);
            write_sample(repository, third_time);
            require_whole(repository);
        });
}
