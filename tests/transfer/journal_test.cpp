#include "sidecar/transfer/journal.hpp"

#include "erlang_port/error.hpp"
#include "tests/harness/temp_dir.hpp"

#include <sys/stat.h>

#include <catch2/catch.hpp>

#include <filesystem>
#include <string>

namespace {

using hot_backup::Error;
using hot_backup::Journal;
using hot_backup::QueueJournal;
using hot_backup::RestoreIdentity;

const RestoreIdentity identity{"20261122T073241.512Z", "rabbit@old", "rabbit@new", ""};

QueueJournal entry(std::uint64_t confirmed) {
    return {"transfer", confirmed + 10, confirmed, {1, 2}, false, 3, confirmed, "queue"};
}

TEST_CASE("a journal is found again, with the last word on each queue") {
    const harness::TempDir directory;
    const auto path = directory.path() / "journal";
    {
        Journal journal(path, identity);
        CHECK_FALSE(journal.resumed());
        journal.write({"/", "a"}, entry(5));
        journal.write({"/", "b"}, entry(6));
        journal.write({"/", "a"}, entry(7));
    }
    struct stat status {};
    REQUIRE(::stat(path.c_str(), &status) == 0);
    CHECK((status.st_mode & 0777U) == 0600);

    Journal journal(path, identity);
    CHECK(journal.resumed());
    CHECK(journal.find({"/", "a"}).confirmed == 7);
    CHECK(journal.find({"/", "b"}).sent == 16);
    CHECK(journal.find({"/", "b"}).doubtful_begin == 3);
    CHECK(journal.find({"/", "b"}).doubtful_end == 6);
    CHECK(journal.find({"/", "b"}).identity == "queue");
    CHECK(journal.find({"/", "b"}).sum == hot_backup::MessageSum{1, 2});
    CHECK(journal.find({"/", "c"}).sent == 0);
    CHECK(journal.find({"/", "c"}).transfer != journal.find({"/", "d"}).transfer);
    journal.forget({"/", "a"});
    CHECK(journal.find({"/", "a"}).sent == 0);
    CHECK(journal.find({"/", "a"}).transfer != "transfer");
    journal.remove();
    CHECK_FALSE(std::filesystem::exists(path));
}

TEST_CASE("a journal that was cut off anywhere is whole up to its last line") {
    const harness::TempDir directory;
    const auto path = directory.path() / "journal";
    {
        Journal journal(path, identity);
        journal.write({"/", "a"}, entry(5));
    }
    const auto content = harness::read_file(path);
    const auto first_line = content.find('\n') + 1;
    for (std::size_t length = 0; length < content.size(); ++length) {
        CAPTURE(length);
        harness::write_file(path, content.substr(0, length));
        {
            Journal journal(path, identity);
            CHECK(journal.resumed() == (length >= first_line));
            CHECK(journal.find({"/", "a"}).sent == 0);
            journal.write({"/", "a"}, entry(5));
        }
        CHECK(harness::read_file(path) == content);
    }
}

TEST_CASE("a file that is no journal stays as it is") {
    const harness::TempDir directory;
    const auto path = directory.path() / "cookie";
    for (const std::string content : {"ABCDEFGHIJKLMNOPQRST", "a line\nand the beginning of one",
                                      "{\"format\":\"something else\"}\n{\"half\":"}) {
        harness::write_file(path, content);
        CHECK_THROWS_AS(Journal(path, identity), Error);
        CHECK(harness::read_file(path) == content);
    }
}

TEST_CASE("a journal belongs to one restore at a time") {
    const harness::TempDir directory;
    const auto path = directory.path() / "journal";
    {
        const Journal journal(path, identity);
        CHECK_THROWS_WITH(Journal(path, identity), Catch::Contains("another restore writes"));
    }
    auto other = identity;
    other.backup = "20261123T000000.000Z";
    CHECK_THROWS_WITH(Journal(path, other), Catch::Contains("is of another restore"));
    harness::write_file(path, "something else\n");
    CHECK_THROWS_WITH(Journal(path, identity), Catch::Contains("is no journal"));
    std::filesystem::remove(path);
    std::filesystem::create_symlink(directory.path() / "elsewhere", path);
    CHECK_THROWS_WITH(Journal(path, identity), Catch::Contains("cannot open"));
    CHECK_FALSE(std::filesystem::exists(directory.path() / "elsewhere"));
}

TEST_CASE("a sum depends on the messages and not on their order") {
    hot_backup::MessageSum one;
    hot_backup::MessageSum other;
    const hot_backup::MessageSum big{1, ~std::uint64_t{0}};
    const hot_backup::MessageSum small{2, 3};
    one.add(big);
    one.add(small);
    other.add(small);
    other.add(big);
    CHECK(one == other);
    CHECK(one == hot_backup::MessageSum{4, 2});
}

}  // namespace
