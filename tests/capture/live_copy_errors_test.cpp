// What ends a copy: files that no image can hold or that may not be read, and whoever listens.
#include "tests/capture/live_copy_fixture.hpp"

#include "erlang_port/error.hpp"

#include <catch2/catch.hpp>

#include <sys/stat.h>
#include <atomic>
#include <thread>

using namespace capture_test;
using namespace std::chrono_literals;
using hot_backup::CopyOptions;
using hot_backup::Cut;
using hot_backup::Error;
using hot_backup::LiveCopy;
using hot_backup::PassProgress;
using Outcome = hot_backup::Cut::Outcome;

TEST_CASE("what no image can hold is an error that names it") {
    const Node node;
    node.write("file", "x");
    const std::string odd = "odd\xff.rdq";
    const std::vector<std::pair<std::string, std::function<void()>>> oddities{
        {"/data/dir/pipe", [&] { ::mkfifo(node.path("dir/pipe").c_str(), 0600); }},
        {"/data/dir/odd\\xff.rdq", [&] { node.write("dir/" + odd, "x"); }},
        {"/data/dir/odd\\xff",
         [&] { std::filesystem::create_directory(node.path("dir/odd\xff")); }},
        {"outside of the node's directories",
         [&] {
             std::filesystem::create_directory(node.outside() / "elsewhere");
             std::filesystem::create_directory_symlink(node.outside() / "elsewhere",
                                                       node.path("dir/link"));
         }},
    };
    std::filesystem::create_directory(node.path("dir"));
    for (const auto& [named, make] : oddities) {
        CAPTURE(named);
        Copy copy(node);
        copy.pass();
        make();
        check_refused(named, [&] { copy.cut(); });
        check_refused(named, [&] { copy.pass(); });
        check_refused(named, [&] { const Copy another(node); });
        std::filesystem::remove_all(node.path("dir"));
        std::filesystem::create_directory(node.path("dir"));
        copy.pass();
        CHECK(copy.cut().outcome == Outcome::captured);
        CHECK(difference(node.image(), copy.finish()) == "");
    }
}

TEST_CASE("a file that may not be read is an error that names it") {
    const Node node;
    node.write("file", "x");
    std::filesystem::permissions(node.path("file"), std::filesystem::perms::none);
    const bool root = ::geteuid() == 0;
    if (root) {
        for (const auto& path : {node.outside(), node.data(), node.path("file")}) {
            REQUIRE(::chown(path.c_str(), 65534, 65534) == 0);
        }
        REQUIRE(::seteuid(65534) == 0);
    }
    check_refused("/data/file", [&] {
        Copy copy(node);
        copy.pass();
    });
    check_refused("/data/file", [&] {
        Copy copy(node);
        copy.cut();
    });
    if (root) {
        REQUIRE(::seteuid(0) == 0);
    }
}

TEST_CASE("a data directory that goes away is an error that names it") {
    const Node node;
    node.write("file", "x");
    CopyOptions options;
    options.use_inotify = GENERATE(true, false);
    Copy copy(node, options);
    copy.pass();
    std::filesystem::rename(node.data(), node.outside() / "gone");
    check_refused("/data was removed or replaced", [&] { copy.cut(); });
}

TEST_CASE("roots may be absent, symbolic links, and within each other") {
    const Node node;
    node.write("quorum/file", "x");
    harness::TempDir elsewhere;
    std::filesystem::create_directory(elsewhere / "stream");
    harness::write_file(elsewhere / "stream/file", "y");
    std::filesystem::create_directory_symlink(elsewhere / "stream", node.path("stream"));
    MemoryStore blocks;
    LiveCopy copy({{"quorum", node.path("quorum")},
                   {"data", node.data()},
                   {"none", node.outside() / "none"},
                   {"stream", node.path("stream")}},
                  {}, blocks.store_block());
    copy.cut(LiveCopy::Clock::now() + 60s);
    copy.finish([](const PassProgress&) {});
    auto entries = copy.take_entries();
    for (const hot_backup::FileEntry& entry : entries) {
        if (entry.path == "stream/file") {
            CHECK(entry.origin->path == node.path("stream/file").string());
        }
    }
    const Image image = image_of(entries, reader_of(blocks));
    CHECK(image.size() == 6);
    CHECK(image.at("data/quorum/file").content == "x");
    CHECK(image.at("data/stream").kind == "symlink");
    CHECK(image.at("stream").kind == "directory");
    CHECK(image.at("stream/file").content == "y");
}

TEST_CASE("who listens may end a pass, and the next one makes up for it") {
    const Node node;
    for (int number = 0; number < 200; ++number) {
        node.write(std::to_string(number), bytes_of(5000));
    }
    CopyOptions options = Copy::small_blocks();
    options.rate_limit = 1'000'000;
    Copy copy(node, options);
    struct Interrupted {};
    std::uint64_t calls = 0;
    const auto started = LiveCopy::Clock::now();
    CHECK_THROWS_AS(copy->pass([&](const PassProgress& progress) {
        CHECK(progress.total == 1'000'000);
        CHECK(progress.done <= progress.total);
        if (++calls == 2) {
            throw Interrupted();
        }
    }),
                    Interrupted);
    CHECK(LiveCopy::Clock::now() - started < 800ms);
    CHECK(copy.cut().outcome == Outcome::captured);
    CHECK(difference(node.image(), copy.finish()) == "");
}

TEST_CASE("what the repository says ends a pass, and no thread goes on") {
    const Node node;
    for (int number = 0; number < 100; ++number) {
        node.write(std::to_string(number), bytes_of(100));
    }
    MemoryStore blocks;
    std::atomic<int> calls = 0;
    LiveCopy copy(node.roots(), {}, [&](std::string_view bytes) {
        if (++calls == 30) {
            throw Error(hot_backup::ErrorCode::failed, "the disk is full");
        }
        return blocks.store(bytes);
    });
    CHECK_THROWS_WITH(copy.pass([](const PassProgress&) {}), "the disk is full");
    const int then = calls;
    std::this_thread::sleep_for(20ms);
    CHECK(calls == then);
    copy.pass([](const PassProgress&) {});
    CHECK(copy.cut(LiveCopy::Clock::now() + 60s).outcome == Outcome::captured);
    copy.finish([](const PassProgress&) {});
    CHECK(difference(node.image(), image_of(copy.take_entries(), reader_of(blocks))) == "");
}

TEST_CASE("the steps of a copy have an order") {
    const Node node;
    Copy copy(node);
    CHECK_THROWS_AS(copy->forget_cut(), Error);
    CHECK_THROWS_AS(copy.finish(), Error);
    CHECK_THROWS_AS(copy->take_entries(), Error);
    copy.cut();
    CHECK_THROWS_AS(copy.cut(), Error);
    CHECK_THROWS_AS(copy.pass(), Error);
    copy.finish();
    CHECK_THROWS_AS(copy->take_entries(), Error);
}
