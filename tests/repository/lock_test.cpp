// The lock: one holder at a time, whatever happened to the one before.
#include "sidecar/repository/lock.hpp"
#include "sidecar/json.hpp"
#include "tests/harness/temp_dir.hpp"
#include "tests/repository/child.hpp"
#include "tests/repository/faulty_file_system.hpp"
#include "tests/repository/memory_file_system.hpp"
#include "tests/repository/sample.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cerrno>
#include <csignal>
#include <thread>

using namespace hot_backup;
using namespace repository_test;

namespace {

struct Place {
    harness::TempDir directory;
    FileSystem& disk = posix_file_system();

    Path lock() const { return directory / "lock"; }
    std::string content() const { return harness::read_file(lock()); }
    bool locked(const ProcessIdentity& self = this_process()) {
        try {
            const Lock another(disk, directory.path(), "test", self);
            return false;
        } catch (const Error& error) {
            REQUIRE(error.code() == ErrorCode::locked);
            return true;
        }
    }
    // Leaves a lock of the given process.
    void leave(const ProcessIdentity& holder) {
        harness::write_file(lock(), to_line(Json{{"host", holder.host},
                                                 {"pid", holder.pid},
                                                 {"process_start", holder.process_start},
                                                 {"boot_id", holder.boot_id},
                                                 {"machine_id", holder.machine_id},
                                                 {"command", "create"},
                                                 {"since", "2026-11-22T07:32:41.512000Z"}}) +
                                        '\n');
    }
};

// A process that has ended, and whose pid nobody has yet.
ProcessIdentity dead_process() {
    ProcessIdentity dead = this_process();
    Child child([] { return 0; });
    dead.pid = child.pid();
    dead.process_start = process_start_of(dead.pid).value_or(1);
    child.wait();
    return dead;
}

}  // namespace

TEST_CASE("a lock says who holds it, and goes with its holder") {
    Place place;
    {
        const Lock lock(place.disk, place.directory.path(), "create");
        const Json json = Json::parse(place.content());
        const ProcessIdentity self = this_process();
        CHECK(json.at("host") == self.host);
        CHECK(json.at("pid") == ::getpid());
        CHECK(json.at("process_start") == self.process_start);
        CHECK(json.at("boot_id") == self.boot_id);
        CHECK(json.at("machine_id") == self.machine_id);
        CHECK(json.at("command") == "create");
        CHECK(parse_timestamp(json.at("since").get<std::string>()));
        CHECK(json.size() == 7);
        CHECK(self.process_start > 0);
        CHECK(self.boot_id.size() == 36);
        CHECK_FALSE(self.host.empty());
    }
    CHECK_FALSE(std::filesystem::exists(place.lock()));
}

TEST_CASE("a second holder gets an error that names the first") {
    Place place;
    const Lock lock(place.disk, place.directory.path(), "create");
    const Error error = error_of([&] { Lock(place.disk, place.directory.path(), "delete"); });
    CHECK(error.code() == ErrorCode::locked);
    CHECK(has(error.what(), place.directory.path().string()));
    CHECK(has(error.what(), "process " + std::to_string(::getpid())));
    CHECK(has(error.what(), "host " + this_process().host));
    CHECK(has(error.what(), "create, since 20"));
    CHECK(has(error.hint(), "Wait"));
    CHECK(std::filesystem::exists(place.lock()));
}

TEST_CASE("another thread and another process are locked out") {
    Place place;
    const Lock lock(place.disk, place.directory.path(), "create");
    bool thread_locked = false;
    std::thread([&] { thread_locked = place.locked(); }).join();
    CHECK(thread_locked);
    CHECK(Child([&] { return place.locked() ? 7 : 8; }).wait() == 7);
}

TEST_CASE("the lock of a process that was killed is taken over") {
    Place place;
    Pipe ready;
    Child child([&] {
        const Lock lock(posix_file_system(), place.directory.path(), "create");
        ready.put('r');
        for (;;) {
            ::pause();
        }
        return 0;
    });
    REQUIRE(ready.get() == 'r');
    CHECK(place.locked());
    ::kill(child.pid(), SIGKILL);
    SECTION("as soon as it is reaped") {
        child.wait();
    }
    SECTION("while it is a zombie, which has closed its files") {
        while (place.content().empty() || process_start_of(child.pid())) {
            std::this_thread::yield();
        }
    }
    CHECK(std::filesystem::exists(place.lock()));
    CHECK_FALSE(place.locked());
    CHECK_FALSE(std::filesystem::exists(place.lock()));
}

TEST_CASE("a lock left by a dead process is taken over") {
    Place place;
    place.leave(dead_process());
    const Lock lock(place.disk, place.directory.path(), "delete");
    CHECK(Json::parse(place.content()).at("pid") == ::getpid());
    CHECK(place.locked());
}

TEST_CASE("a lock left by a process whose pid has gone to another one is taken over") {
    Place place;
    Pipe end;
    Child other([&] {
        end.close_writer();
        return static_cast<int>(end.get());
    });
    ProcessIdentity holder = this_process();
    holder.pid = other.pid();
    holder.process_start = *process_start_of(other.pid());
    place.leave(holder);
    CHECK(place.locked());
    --holder.process_start;
    place.leave(holder);
    CHECK_FALSE(place.locked());
    end.close_writer();
}

namespace {

const std::string other_boot = "2bfae1c0-0000-4000-8000-000000000000";
const std::string some_machine = "0123456789abcdef0123456789abcdef";

// This process on a machine that has an ID.
ProcessIdentity self_on_machine() {
    ProcessIdentity self = this_process();
    self.machine_id = some_machine;
    return self;
}

}  // namespace

TEST_CASE("a lock left before the machine booted is taken over") {
    Place place;
    const ProcessIdentity self = self_on_machine();
    ProcessIdentity holder = self;
    holder.pid = ::getppid();
    holder.process_start = *process_start_of(::getppid());
    place.leave(holder);
    CHECK(place.locked(self));
    holder.boot_id = other_boot;
    place.leave(holder);
    CHECK_FALSE(place.locked(self));
}

TEST_CASE("a lock of another machine that has our host name is not taken over") {
    ProcessIdentity self = self_on_machine();
    ProcessIdentity holder = dead_process();
    holder.boot_id = other_boot;
    SECTION("its machine ID is another one") {
        holder.machine_id = "fedcba9876543210fedcba9876543210";
    }
    SECTION("it has no machine ID") {
        holder.machine_id.clear();
    }
    SECTION("neither of us has a machine ID") {
        holder.machine_id.clear();
        self.machine_id.clear();
    }
    Place place;
    place.leave(holder);
    const std::string before = place.content();
    const Error error = error_of([&] { Lock(place.disk, place.directory.path(), "create", self); });
    CHECK(error.code() == ErrorCode::locked);
    CHECK(has(error.hint(), "remove " + place.lock().string()));
    CHECK(place.content() == before);
}

TEST_CASE("boot IDs that could not be read do not make two machines one") {
    ProcessIdentity self = self_on_machine();
    self.boot_id.clear();
    ProcessIdentity holder = dead_process();
    holder.boot_id.clear();
    holder.machine_id = some_machine;
    SECTION("the same host name") {}
    SECTION("another host name") {
        holder.host = "elsewhere";
    }
    Place place;
    place.leave(holder);
    CHECK(place.locked(self));
}

TEST_CASE("a lock without a machine ID is read") {
    Place place;
    const ProcessIdentity dead = dead_process();
    harness::write_file(place.lock(), to_line(Json{{"host", dead.host},
                                                   {"pid", dead.pid},
                                                   {"process_start", dead.process_start},
                                                   {"boot_id", dead.boot_id},
                                                   {"command", "create"},
                                                   {"since", "2026-11-22T07:32:41.512000Z"}}) +
                                          '\n');
    CHECK_FALSE(place.locked());
}

TEST_CASE("a holder whose lock was removed is told so") {
    Place place;
    const Lock lock(place.disk, place.directory.path(), "create");
    CHECK_NOTHROW(lock.throw_unless_held());
    std::filesystem::remove(place.lock());
    SECTION("and nobody has taken it") {}
    SECTION("and another process has taken it") {
        harness::write_file(place.lock(), "of somebody else\n");
    }
    const Error error = error_of([&] { lock.throw_unless_held(); });
    CHECK(error.code() == ErrorCode::locked);
    CHECK(has(error.what(), place.directory.path().string()));
    CHECK(has(error.hint(), "Do not remove " + place.lock().string()));
}

TEST_CASE("a lock of another host is never taken over") {
    Place place;
    ProcessIdentity holder = dead_process();
    holder.host = "elsewhere";
    holder.boot_id = "2bfae1c0-0000-4000-8000-000000000000";
    place.leave(holder);
    const std::string before = place.content();
    const Error error = error_of([&] { Lock(place.disk, place.directory.path(), "create"); });
    CHECK(error.code() == ErrorCode::locked);
    CHECK(has(error.what(), "process " + std::to_string(holder.pid) + " on host elsewhere"));
    CHECK(has(error.hint(), "host elsewhere is known to be down, remove " + place.lock().string()));
    CHECK(place.content() == before);
}

TEST_CASE("a lock left by a container of this machine that is gone is taken over") {
    Place place;
    ProcessIdentity holder = this_process();
    holder.host = "a1b2c3d4e5f6";
    place.leave(holder);
    CHECK_FALSE(place.locked());
}

TEST_CASE("a lock that its own process could not remove is taken over by it") {
    Place place;
    {
        FaultyFileSystem faulty(place.disk, {.at = 1, .error = EIO, .calls = {Call::remove}});
        const Lock lock(faulty, place.directory.path(), "create");
    }
    CHECK(std::filesystem::exists(place.lock()));
    CHECK_FALSE(place.locked());
    CHECK_FALSE(std::filesystem::exists(place.lock()));
}

TEST_CASE("a lock that was never finished is taken over") {
    for (const std::string content : {"", "{\"host\":\"els", "\0\0\0\0"}) {
        Place place;
        harness::write_file(place.lock(), content);
        CHECK_FALSE(place.locked());
    }
    Place place;
    harness::write_file(place.lock(), std::string(200, '\0'));
    CHECK_FALSE(place.locked());
}

TEST_CASE("a lock that says something else is left alone, with a hint") {
    for (const std::string content : {"\n", "garbage\n", "{}\n", "[1]\n", "{\"host\":1}\n"}) {
        Place place;
        harness::write_file(place.lock(), content);
        const Error error = error_of([&] { Lock(place.disk, place.directory.path(), "create"); });
        CHECK(error.code() == ErrorCode::locked);
        CHECK(has(error.hint(), "remove " + place.lock().string()));
        CHECK(place.content() == content);
    }
}

TEST_CASE("a lock that the operator removed is not removed again") {
    Place place;
    const harness::TempDir other;
    {
        const Lock first(place.disk, place.directory.path(), "create");
        std::filesystem::remove(place.lock());
        harness::write_file(place.lock(), "of somebody else\n");
    }
    CHECK(place.content() == "of somebody else\n");
}

TEST_CASE("a full disk does not keep the lock from being taken") {
    MemoryFileSystem disk;
    disk.make_directory("/r");
    for (const int error : {ENOSPC, EDQUOT}) {
        FaultyFileSystem full(disk,
                              {.at = 1, .error = error, .lasting = true, .calls = {Call::append}});
        const Lock lock(full, "/r", "delete");
        CHECK(error_of([&] { Lock(disk, "/r", "create"); }).code() == ErrorCode::locked);
    }
    CHECK_FALSE(disk.status("/r/lock"));
}

TEST_CASE("who opened a lock that is then given back does not end with a removed file") {
    MemoryFileSystem disk;
    disk.make_directory("/r");
    auto first = std::make_unique<Lock>(disk, "/r", "create");
    FaultyFileSystem slow(disk,
                          {.at = 1, .calls = {Call::lock}, .meanwhile = [&] { first.reset(); }});
    const Lock second(slow, "/r", "delete");
    CHECK(slow.struck());
    CHECK(disk.status("/r/lock"));
    CHECK(error_of([&] { Lock(disk, "/r", "create"); }).code() == ErrorCode::locked);
}

TEST_CASE("of many processes that take over a stale lock exactly one gets it") {
    constexpr int processes = 12;
    const ProcessIdentity dead = dead_process();
    for (int round = 0; round < 30; ++round) {
        Place place;
        place.leave(dead);
        Pipe start;
        Pipe results;
        Pipe end;
        std::vector<Child> children;
        for (int i = 0; i < processes; ++i) {
            children.emplace_back([&] {
                start.close_writer();
                end.close_writer();
                start.get();
                try {
                    const Lock lock(posix_file_system(), place.directory.path(), "create");
                    results.put('w');
                    end.get();
                } catch (const Error& error) {
                    results.put(error.code() == ErrorCode::locked ? 'l' : '?');
                }
                return 0;
            });
        }
        start.close_writer();
        std::string outcomes;
        for (int i = 0; i < processes; ++i) {
            outcomes += results.get();
        }
        end.close_writer();
        std::sort(outcomes.begin(), outcomes.end());
        REQUIRE(outcomes == std::string(processes - 1, 'l') + 'w');
    }
}

TEST_CASE("processes that take and give back the lock in turn never hold it together") {
    Place place;
    const Path inside = place.directory / "inside";
    std::vector<Child> children;
    for (int i = 0; i < 4; ++i) {
        children.emplace_back([&] {
            int taken = 0;
            while (taken < 100) {
                try {
                    const Lock lock(posix_file_system(), place.directory.path(), "create");
                    // Fails when another process is here.
                    posix_file_system().create(inside);
                    posix_file_system().remove(inside);
                    ++taken;
                } catch (const Error& error) {
                    if (error.code() != ErrorCode::locked) {
                        return 1;
                    }
                }
            }
            return 0;
        });
    }
    for (Child& child : children) {
        CHECK(child.wait() == 0);
    }
    CHECK_FALSE(std::filesystem::exists(place.lock()));
}

TEST_CASE("who is patient gets the lock when the other one has gone") {
    Place place;
    auto other = std::make_unique<Lock>(place.disk, place.directory.path(), "create");
    std::vector<std::chrono::milliseconds> pauses;
    const auto lock =
        wait_for_lock(place.disk, place.directory.path(), "prune", std::chrono::hours(1),
                      [&](std::chrono::milliseconds pause, const Error& locked) {
                          CHECK(locked.code() == ErrorCode::locked);
                          pauses.push_back(pause);
                          if (pauses.size() == 8) {
                              other.reset();
                          }
                      });
    CHECK(Json::parse(place.content()).at("command") == "prune");
    REQUIRE(pauses.size() == 8);
    CHECK(pauses.front() == std::chrono::seconds(1));
    CHECK(std::is_sorted(pauses.begin(), pauses.end()));
    CHECK(pauses.back() == std::chrono::seconds(30));
}

TEST_CASE("patience for the lock has an end, and can be interrupted") {
    Place place;
    const Lock other(place.disk, place.directory.path(), "create");
    const auto wait = [&](std::chrono::milliseconds patience, const LockWait& pause) {
        return error_of(
            [&] { wait_for_lock(place.disk, place.directory.path(), "prune", patience, pause); });
    };
    int waits = 0;
    CHECK(wait(std::chrono::milliseconds(30), [&](std::chrono::milliseconds pause, const Error&) {
              ++waits;
              CHECK(pause <= std::chrono::milliseconds(30));
              std::this_thread::sleep_for(pause);
          }).code() == ErrorCode::locked);
    CHECK(waits >= 1);
    const Error interrupted =
        wait(std::chrono::hours(1), [](std::chrono::milliseconds, const Error&) {
            throw Error(ErrorCode::interrupted, "stop");
        });
    CHECK(interrupted.code() == ErrorCode::interrupted);
    CHECK(wait({}, [](std::chrono::milliseconds, const Error&) { FAIL("nobody waits"); }).code() ==
          ErrorCode::locked);
}
