// What a crash between a segment and its index leaves of a stream, and what a restore makes of it.
#include "sidecar/restore/stream_repair.hpp"
#include "tests/harness/temp_dir.hpp"

#include <catch2/catch.hpp>

#include <string>

using namespace hot_backup;
using harness::read_file;
using harness::write_file;

namespace {

const std::string first(8, 'f');
const std::string chunk(100, 'c');
const std::string record(29, 'r');

struct Replica {
    harness::TempDir directory;
    Path file(const std::string& name) const { return directory / name; }

    // Two segments, of which the second one is just as a test wants it.
    Replica() {
        write_file(file("00000000000000000000.index"), first + record);
        write_file(file("00000000000000000000.segment"), first + chunk);
    }
};

const std::string newest = "00000000000000000007";

}  // namespace

TEST_CASE("a segment whose index has no record is emptied") {
    const Replica replica;
    const std::string index = GENERATE(as<std::string>{}, first, first + record.substr(1), "");
    write_file(replica.file(newest + ".index"), index);
    write_file(replica.file(newest + ".segment"), first + chunk);
    CHECK(repair_stream(replica.directory.path()));
    CHECK(read_file(replica.file(newest + ".segment")) == first);
    CHECK(read_file(replica.file(newest + ".index")) == index);
    CHECK(read_file(replica.file("00000000000000000000.segment")) == first + chunk);
    CHECK_FALSE(repair_stream(replica.directory.path()));
}

TEST_CASE("so is the only segment of a stream") {
    const harness::TempDir directory;
    write_file(directory / (newest + ".index"), first);
    write_file(directory / (newest + ".segment"), first + chunk);
    CHECK(repair_stream(directory.path()));
    CHECK(read_file(directory / (newest + ".segment")) == first);
}

TEST_CASE("an index without its segment is removed") {
    const Replica replica;
    write_file(replica.file(newest + ".index"), GENERATE(as<std::string>{}, first, ""));
    CHECK(repair_stream(replica.directory.path()));
    CHECK_FALSE(std::filesystem::exists(replica.file(newest + ".index")));
    CHECK_FALSE(repair_stream(replica.directory.path()));
}

TEST_CASE("a stream that has a record in its newest index is left alone") {
    const Replica replica;
    write_file(replica.file(newest + ".index"), first + record);
    SECTION("with chunks that have none") {
        write_file(replica.file(newest + ".segment"), first + chunk + chunk);
        CHECK_FALSE(repair_stream(replica.directory.path()));
        CHECK(read_file(replica.file(newest + ".segment")) == first + chunk + chunk);
    }
    SECTION("without its segment") {
        CHECK_FALSE(repair_stream(replica.directory.path()));
        CHECK(read_file(replica.file(newest + ".index")) == first + record);
    }
}

TEST_CASE("a segment that was only just made, and a directory without any, are left alone") {
    const Replica replica;
    write_file(replica.file(newest + ".index"), first);
    write_file(replica.file(newest + ".segment"), first);
    CHECK_FALSE(repair_stream(replica.directory.path()));
    const harness::TempDir empty;
    CHECK_FALSE(repair_stream(empty.path()));
}
