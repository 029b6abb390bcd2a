// Marks: to the byte, damaged, and beside a deletion.
#include "sidecar/repository/marks.hpp"
#include "tests/harness/temp_dir.hpp"
#include "tests/repository/faulty_file_system.hpp"
#include "tests/repository/memory_file_system.hpp"
#include "tests/repository/sample.hpp"

#include <sys/stat.h>
#include <unistd.h>
#include <catch2/catch.hpp>

using namespace hot_backup;
using namespace repository_test;

namespace {

constexpr const char* id = "20261122T073241.512Z";

const Check intact{sample_time(), 0, 1'300'000, 41'200'000, "0.1.0", ""};
const Check differing{sample_time(), 2, 52'000'000, 41'100'000, "0.1.0", "3.10.8"};

std::string sealed(const std::string& text) {
    return text + "{\"xxh3_128\":\"" + checksum(text).hex() + "\"}\n";
}

std::string mark(const std::string& name, const std::string& content) {
    return sealed(R"({"format":"rabbitmq-hot-backup mark","version":1,"backup":")" +
                  std::string(id) + R"(","mark":")" + name + "\"}\n" + content + "\n");
}

Path path_of(const std::string& name) {
    return "/r/marks/" + std::string(id) + "." + name;
}

void mark_all(const Repository& repository) {
    protect(repository, id, {sample_time(), "before the \"big\" upgrade"});
    record_check(repository, id, CheckKind::verified, intact);
    record_check(repository, id, CheckKind::booted, differing);
}

}  // namespace

TEST_CASE("marks are written to the byte, and read again") {
    MemoryFileSystem disk;
    const Repository repository = Repository::open_or_create(disk, "/r");
    write_sample(repository);
    CHECK(read_marks(repository, id) == Marks{});
    mark_all(repository);

    CHECK(disk.list("/r/marks") == std::vector<std::string>{std::string(id) + ".booted",
                                                            std::string(id) + ".protected",
                                                            std::string(id) + ".verified"});
    CHECK(disk.content(path_of("protected")) ==
          mark("protected",
               R"({"when":"2026-11-22T07:32:41.512000Z","reason":"before the \"big\" upgrade"})"));
    CHECK(disk.content(path_of("verified")) ==
          mark("verified", R"({"when":"2026-11-22T07:32:41.512000Z","outcome":"intact",)"
                           R"("findings":0,"program":"0.1.0","duration_us":1300000,)"
                           R"("bytes":41200000})"));
    CHECK(disk.content(path_of("booted")) ==
          mark("booted", R"({"when":"2026-11-22T07:32:41.512000Z","outcome":"differs",)"
                         R"("findings":2,"program":"0.1.0","duration_us":52000000,)"
                         R"("bytes":41100000,"rabbitmq_version":"3.10.8"})"));

    const Marks marks = read_marks(repository, id);
    CHECK(marks.protection == Protection{sample_time(), "before the \"big\" upgrade"});
    CHECK(marks.verified == intact);
    CHECK(marks.booted == differing);
    CHECK(verify_backup(repository, id).whole());
}

TEST_CASE("the last writer of a mark wins") {
    MemoryFileSystem disk;
    const Repository repository = Repository::open_or_create(disk, "/r");
    write_sample(repository);
    mark_all(repository);
    Check later = intact;
    later.when += std::chrono::hours{1};
    later.findings = 3;
    record_check(repository, id, CheckKind::verified, later);
    protect(repository, id, {sample_time(), ""});
    CHECK(read_marks(repository, id).verified == later);
    CHECK(read_marks(repository, id).protection == Protection{sample_time(), ""});
    CHECK(disk.list("/r/marks").size() == 3);
}

TEST_CASE("a check that cannot be read is none, and a protection protects all the same") {
    const std::string newer = sealed(R"({"format":"rabbitmq-hot-backup mark","version":2})"
                                     "\n");
    for (const std::string& content :
         {std::string(), std::string("{}\n"), newer, sealed("{}\n"), mark("verified", "{}"),
          mark("protected", "{\"when\":1}"), mark("booted", "[]")}) {
        CAPTURE(content);
        MemoryFileSystem disk;
        const Repository repository = Repository::open_or_create(disk, "/r");
        write_sample(repository);
        mark_all(repository);
        for (const char* name : {"protected", "verified", "booted"}) {
            disk.put(path_of(name), content);
        }
        const Marks marks = read_marks(repository, id);
        CHECK(marks.protection == Protection{});
        CHECK_FALSE(marks.verified);
        CHECK_FALSE(marks.booted);
        {
            const Lock lock(disk, "/r", "delete");
            CHECK(error_of([&] { repository.remove(lock, id); }).code() == ErrorCode::kept);
            CHECK(unprotect(repository, id));
            repository.remove(lock, id);
        }
        CHECK(disk.list("/r/marks").empty());
    }
}

TEST_CASE("every flipped bit of a mark is found") {
    MemoryFileSystem disk;
    const Repository repository = Repository::open_or_create(disk, "/r");
    write_sample(repository);
    mark_all(repository);
    for (const char* name : {"protected", "verified", "booted"}) {
        std::string& content = disk.content(path_of(name));
        for (std::size_t at = 0; at < content.size(); ++at) {
            CAPTURE(name, at);
            content[at] = static_cast<char>(content[at] ^ 0x01);
            const Marks marks = read_marks(repository, id);
            REQUIRE((name == std::string("protected")
                         ? marks.protection == Protection{}
                         : !(name == std::string("verified") ? marks.verified : marks.booted)));
            content[at] = static_cast<char>(content[at] ^ 0x01);
        }
    }
}

TEST_CASE("the mark of one backup says nothing of another") {
    MemoryFileSystem disk;
    const Repository repository = Repository::open_or_create(disk, "/r");
    write_sample(repository);
    const auto other = write_sample(repository, sample_time() + std::chrono::hours{1});
    mark_all(repository);
    for (const std::string name : {"protected", "verified"}) {
        disk.put("/r/marks/" + other + "." + name, disk.content(path_of(name)));
    }
    CHECK_FALSE(read_marks(repository, other).verified);
    CHECK(read_marks(repository, other).protection == Protection{});
}

TEST_CASE("a protected backup is not deleted, in one clear error") {
    MemoryFileSystem disk;
    const Repository repository = Repository::open_or_create(disk, "/r");
    write_sample(repository);
    protect(repository, id, {sample_time(), "audit"});
    const Lock lock(disk, "/r", "delete");
    const Error error = error_of([&] { repository.remove(lock, id); });
    CHECK(error.code() == ErrorCode::kept);
    CHECK(error.what() == "backup " + std::string(id) + " is protected: audit");
    CHECK(has(error.hint(), "unprotect " + std::string(id)));
    CHECK_FALSE(repository.withdraw(lock, id));
    CHECK(verify_backup(repository, id).whole());

    CHECK(unprotect(repository, id));
    CHECK_FALSE(unprotect(repository, id));
    repository.remove(lock, id);
    CHECK(repository.list().empty());
}

TEST_CASE("marks go with their backup, and what is left over is swept") {
    MemoryFileSystem disk;
    const Repository repository = Repository::open_or_create(disk, "/r");
    write_sample(repository);
    const auto other = write_sample(repository, sample_time() + std::chrono::hours{1});
    mark_all(repository);
    unprotect(repository, id);
    record_check(repository, other, CheckKind::verified, intact);
    disk.put(path_of("protected.0b7e.tmp"), "half");
    disk.put("/r/marks/20200101T000000.000Z.verified", "stray");
    disk.put("/r/marks/" + other + ".of a newer version", "");
    disk.put("/r/marks/README", "not ours");

    const Lock lock(disk, "/r", "delete");
    repository.remove(lock, id);
    CHECK(disk.list("/r/marks") ==
          std::vector<std::string>{other + ".of a newer version", other + ".verified", "README"});
    CHECK(verify_backup(repository, other).whole());
}

TEST_CASE("there is no mark of a backup that is not there") {
    MemoryFileSystem disk;
    const Repository repository = Repository::open_or_create(disk, "/r");
    for (const auto& action : std::vector<std::function<void()>>{
             [&] { protect(repository, id, {}); }, [&] { unprotect(repository, id); },
             [&] { record_check(repository, id, CheckKind::verified, intact); }}) {
        CHECK(error_of(action).code() == ErrorCode::not_found);
    }
    CHECK_FALSE(disk.status("/r/marks"));
}

TEST_CASE("a backup is protected while another one is made, and it stays so") {
    MemoryFileSystem disk;
    const Repository repository = Repository::open_or_create(disk, "/r");
    write_sample(repository);
    const Lock lock(disk, "/r", "create");
    BackupWriter writer(repository, lock, sample_time() + std::chrono::hours{1}, sample_options());
    protect(repository, id, {sample_time(), "now"});
    record_check(repository, id, CheckKind::verified, intact);
    writer.publish(sample_summary());
    CHECK(read_marks(repository, id).protection->reason == "now");
    CHECK(read_marks(repository, id).verified == intact);
}

TEST_CASE("whoever protects a backup at any moment of its deletion knows whether it is there") {
    bool struck = true;
    unsigned kept = 0;
    unsigned waited = 0;
    for (std::uint64_t at = 1; struck; ++at) {
        CAPTURE(at);
        MemoryFileSystem disk;
        const Repository before = Repository::open_or_create(disk, "/r");
        write_sample(before);
        bool is_protected_now = false;
        FaultyFileSystem faulty(disk, {.at = at, .meanwhile = [&] {
                                           try {
                                               // Who holds it longer would be waited for.
                                               MarksLock(before, std::chrono::milliseconds{0});
                                               protect(before, id, {sample_time(), ""});
                                               is_protected_now = true;
                                           } catch (const Error& error) {
                                               waited += error.code() == ErrorCode::locked;
                                           }
                                       }});
        bool deleted = false;
        try {
            const Repository repository = Repository::open(faulty, "/r");
            const Lock lock(faulty, "/r", "delete");
            repository.remove(lock, id);
            deleted = true;
        } catch (const Error& error) {
            REQUIRE(has(error.what(), "is protected"));
        }
        struck = faulty.struck();
        if (!struck) {
            break;
        }
        REQUIRE(deleted != is_protected_now);
        REQUIRE(before.has_backup(id) == is_protected_now);
        kept += is_protected_now;
        if (is_protected_now) {
            REQUIRE(verify_backup(before, id).whole());
        }
    }
    CHECK(kept > 3);
    CHECK(waited > 0);
}

TEST_CASE("a failure of any call leaves the mark that was there, or the new one") {
    bool struck = true;
    for (std::uint64_t at = 1; struck; ++at) {
        CAPTURE(at);
        MemoryFileSystem disk;
        const Repository before = Repository::open_or_create(disk, "/r");
        write_sample(before);
        record_check(before, id, CheckKind::verified, intact);
        Check later = intact;
        later.bytes = 7;
        FaultyFileSystem faulty(disk, {.at = at, .error = EIO});
        bool done = false;
        try {
            record_check(Repository::open(faulty, "/r"), id, CheckKind::verified, later);
            done = true;
        } catch (const Error& error) {
            REQUIRE_FALSE(error.hint().empty());
        }
        struck = faulty.struck();
        const auto verified = read_marks(before, id).verified;
        REQUIRE((verified == later || (!done && verified == intact)));
    }
}

TEST_CASE("who holds the lock of the marks keeps others out, but no reader") {
    const harness::TempDir place;
    const Repository repository = Repository::open_or_create(posix_file_system(), place / "r");
    write_sample(repository);
    const MarksLock lock(repository);
    const Error error = error_of([&] { MarksLock(repository, std::chrono::milliseconds{20}); });
    CHECK(error.code() == ErrorCode::locked);
    CHECK(has(error.what(), (place / "r").string()));
    CHECK_FALSE(error.hint().empty());
    CHECK(read_marks(Repository::open(posix_file_system(), place / "r"), id) == Marks{});
    CHECK(verify_backup(repository, id).whole());
}

TEST_CASE("the lock of the marks makes nothing, and leaves repository.json as it is") {
    const harness::TempDir place;
    const Repository repository = Repository::open_or_create(posix_file_system(), place / "r");
    write_sample(repository);
    const Path description = place / "r" / "repository.json";
    std::filesystem::permissions(description, std::filesystem::perms(0640));
    protect(repository, id, {});
    CHECK(std::filesystem::status(description).permissions() == std::filesystem::perms(0640));
    std::filesystem::remove(description);
    const Error error = error_of([&] { unprotect(repository, id); });
    CHECK(error.code() == ErrorCode::not_found);
    CHECK_FALSE(std::filesystem::exists(description));
}

TEST_CASE("what a check found is kept with it, the first thousand of it") {
    MemoryFileSystem disk;
    const Repository repository = Repository::open_or_create(disk, "/r");
    write_sample(repository);
    CHECK(read_findings(repository, id, CheckKind::verified).empty());
    std::vector<OrderedJson> findings;
    for (int i = 0; i < 1005; ++i) {
        findings.push_back({{"message_type", "damage"}, {"name", std::to_string(i)}});
    }
    const Check damaged{now(), 1005, 7, 8, "0.1.0", ""};
    record_check(repository, id, CheckKind::verified, damaged, findings);
    CHECK(read_marks(repository, id).verified == damaged);
    const auto kept = read_findings(repository, id, CheckKind::verified);
    REQUIRE(kept.size() == 1000);
    CHECK(kept.back()["name"] == "999");
    CHECK(read_findings(repository, id, CheckKind::booted).empty());
    record_check(repository, id, CheckKind::verified, {now(), 0, 7, 8, "0.1.0", ""});
    CHECK(read_findings(repository, id, CheckKind::verified).empty());
}

TEST_CASE("a backup's log goes on after it was made") {
    MemoryFileSystem disk;
    const Repository repository = Repository::open_or_create(disk, "/r");
    write_sample(repository);
    CHECK(read_later_log(repository, id).empty());
    const auto at = [](int second) { return Timestamp{} + std::chrono::seconds(second); };
    append_to_log(repository, id, {at(9), "verified", "intact"});
    append_to_log(repository, id, {at(5), "note", "a hook\nran before"});
    const auto log = read_later_log(repository, id);
    REQUIRE(log.size() == 2);
    CHECK(log[0] == LogEvent{at(5), "note", "a hook\nran before"});
    CHECK(log[1].event == "verified");

    SECTION("its oldest events go when it is full") {
        for (int i = 10; i < 310; ++i) {
            append_to_log(repository, id, {at(i), "note", std::to_string(i)});
        }
        const auto full = read_later_log(repository, id);
        REQUIRE(full.size() == most_log_events);
        CHECK(full.back().text == "309");
    }
    SECTION("a long text is cut between two characters") {
        std::string text(longest_log_text - 1, 'x');
        append_to_log(repository, id, {at(10), "note", text + "ä and more"});
        CHECK(read_later_log(repository, id).back().text == text);
    }
    SECTION("of no backup there is none") {
        const Error error = error_of([&] {
            append_to_log(repository, "20200101T000000.000Z", {at(1), "note", ""});
        });
        CHECK(error.code() == ErrorCode::not_found);
    }
}

TEST_CASE("the log of a making is bounded") {
    LogWriter writer;
    for (int i = 0; i < 250; ++i) {
        writer.add("pass", std::to_string(i));
    }
    const auto log = writer.take();
    REQUIRE(log.size() == most_log_events);
    CHECK(log[0].text == "0");
    CHECK(log.back().text == "51 more events were left out");
}

TEST_CASE("what root makes in the repository of somebody else is that one's") {
    if (::geteuid() != 0) {
        return;
    }
    constexpr uid_t owner = 65534;
    const harness::TempDir place;
    const Path directory = place / "r";
    std::filesystem::create_directory(directory);
    REQUIRE(::chown(directory.c_str(), owner, owner) == 0);
    const Repository repository = Repository::open_or_create(posix_file_system(), directory);
    write_sample(repository);
    mark_all(repository);
    std::size_t seen = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
        CAPTURE(entry.path());
        struct stat status {};
        REQUIRE(::lstat(entry.path().c_str(), &status) == 0);
        CHECK(status.st_uid == owner);
        CHECK((status.st_mode & 07777U) == (entry.is_directory() ? 0700U : 0600U));
        ++seen;
    }
    CHECK(seen >= 9);
}
