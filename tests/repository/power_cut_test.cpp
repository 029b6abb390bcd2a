// Cuts the power before every call to the file system: a backup that was published is still there
// and whole, one that was not is not listed or is whole, and the next run works.
#include "sidecar/repository/marks.hpp"
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

TEST_CASE("the power goes while a mark is written") {
    const std::string id = "20261122T073241.512Z";
    const bool first_one = GENERATE(true, false);
    const Protection before{first_time, "before"};
    const Protection after{second_time, "after"};
    cut_at_every_call(
        [&](MemoryFileSystem& disk) {
            const Repository repository = Repository::open_or_create(disk, "/r");
            write_sample(repository, first_time);
            if (!first_one) {
                protect(repository, id, before);
            }
        },
        [&](FileSystem& disk) { protect(Repository::open(disk, "/r"), id, after); },
        [&](MemoryFileSystem& disk, bool done) {
            const Repository repository = Repository::open(disk, "/r");
            const auto protection = read_marks(repository, id).protection;
            const bool unchanged = first_one ? !protection : protection == before;
            REQUIRE((protection == after || (unchanged && !done)));
            require_whole(repository);
            write_sample(repository, third_time);
            require_whole(repository);
        });
}

TEST_CASE("the power goes while a protection is taken away") {
    const std::string id = "20261122T073241.512Z";
    cut_at_every_call(
        [&](MemoryFileSystem& disk) {
            const Repository repository = Repository::open_or_create(disk, "/r");
            write_sample(repository, first_time);
            protect(repository, id, {first_time, "before"});
        },
        [&](FileSystem& disk) { unprotect(Repository::open(disk, "/r"), id); },
        [&](MemoryFileSystem& disk, bool done) {
            const Repository repository = Repository::open(disk, "/r");
            const auto protection = read_marks(repository, id).protection;
            REQUIRE((!protection || (!done && protection->reason == "before")));
        });
}

TEST_CASE("the power goes while several backups are pruned") {
    const std::string first = "20261122T073241.512Z";
    const std::string second = "20261122T083241.512Z";
    const std::string third = "20261122T093241.512Z";
    cut_at_every_call(
        [&](MemoryFileSystem& disk) {
            const Repository repository = Repository::open_or_create(disk, "/r");
            for (const Timestamp time : {first_time, second_time, third_time}) {
                write_sample(repository, time);
            }
            record_check(repository, first, CheckKind::verified, {first_time, 0, 1, 2, "x", ""});
            protect(repository, third, {first_time, "stays"});
        },
        [&](FileSystem& disk) {
            const Repository repository = Repository::open(disk, "/r");
            const Lock lock(disk, "/r", "prune");
            repository.withdraw(lock, first);
            repository.withdraw(lock, second);
            repository.withdraw(lock, third);
            repository.sweep(lock);
        },
        [&](MemoryFileSystem& disk, bool done) {
            const Repository repository = Repository::open(disk, "/r");
            REQUIRE(lists(repository, third));
            REQUIRE(read_marks(repository, third).protection->reason == "stays");
            REQUIRE((!done || repository.list().size() == 1));
            require_whole(repository);
            write_sample(repository, third_time + std::chrono::hours{1});
            require_whole(repository);
        });
}
