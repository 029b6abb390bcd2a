// What a copy does where it is told of changes too late, not at all, or too many at once.
#include "tests/capture/flood.hpp"
#include "tests/capture/live_copy_fixture.hpp"

#include "erlang_port/error.hpp"

#include <catch2/catch.hpp>

#include <thread>

using namespace capture_test;
using namespace std::chrono_literals;
using hot_backup::CopyOptions;
using hot_backup::Cut;
using hot_backup::Error;
using hot_backup::LiveCopy;
using hot_backup::PassProgress;
using Outcome = hot_backup::Cut::Outcome;

TEST_CASE("a queue of events that ran over is noticed, and repaired by a pass") {
    const Node node;
    node.write("a/file", "x");
    node.write("b/file", "x");
    Copy copy(node);
    copy.pass();
    flood_events(node.path("a"));
    std::filesystem::rename(node.path("b"), node.path("c"));
    node.write("b/file", "another directory");
    node.write("new/file", "x");
    std::filesystem::remove(node.path("a/flood.1"));
    std::filesystem::create_symlink("file", node.path("c/link"));

    CHECK(copy.cut().outcome == Outcome::events_lost);
    // Noticed once, it is not forgotten before it is repaired.
    CHECK(copy.cut().outcome == Outcome::events_lost);
    copy.pass();
    CHECK(copy.cut().outcome == Outcome::captured);
    CHECK(difference(node.image(), copy.finish()) == "");
}

TEST_CASE("a combine whose end was not reported is over all the same") {
    const Node node;
    const std::string name = "msg_stores/vhosts/V/msg_store_persistent/1.rdt";
    node.write(name, "x");
    Copy copy(node);
    CHECK(copy->combine_in_flight());
    flood_events(node.data());
    std::filesystem::remove(node.path(name));
    CHECK_FALSE(copy->combine_in_flight());
    CHECK(copy.cut().outcome == Outcome::events_lost);
}

TEST_CASE("taking note of events keeps their queue from running over") {
    const Node node;
    node.write("file", "x");
    Copy copy(node);
    for (int times = 0; times < 4; ++times) {
        const auto queue =
            std::stoull(harness::read_file("/proc/sys/fs/inotify/max_queued_events"));
        for (std::uint64_t events = 0; events < queue / 3; events += 2) {
            node.append(events % 4 == 0 ? "file" : "other", "x");
        }
        copy->watch();
    }
    CHECK(copy.cut().outcome == Outcome::captured);
    CHECK(difference(node.image(), copy.finish()) == "");
}

TEST_CASE("directories without a watch are compared") {
    const Node node;
    for (const char* name : {"a/1", "a/2", "b/1", "c/d/e/1"}) {
        node.write(name, name);
    }
    CopyOptions options = Copy::small_blocks();
    options.watch_limit = GENERATE(0U, 1U, 2U, 3U, 5U);
    CAPTURE(options.watch_limit);
    Copy copy(node, options);
    CHECK(copy->unwatched_directories() == 6 - options.watch_limit);
    copy.pass();

    node.overwrite("a/1", 0, "A");  // as long as before
    std::filesystem::remove(node.path("a/2"));
    node.write("b/2/3", "new");
    std::filesystem::rename(node.path("c/d"), node.path("d"));
    node.write("c/d/e/1", "c/d/e/1");
    std::filesystem::permissions(node.path("b/1"), std::filesystem::perms(0600));
    CHECK(copy.cut().outcome == Outcome::captured);
    CHECK(difference(node.image(), copy.finish()) == "");
}

TEST_CASE("without watches, what was modified just before it was copied counts as changed") {
    const Node node;
    node.write("fresh", "x");
    node.write("old", "x");
    std::filesystem::last_write_time(node.path("old"),
                                     std::filesystem::file_time_type::clock::now() - 1h);
    CopyOptions options = Copy::small_blocks();
    options.use_inotify = false;
    Copy copy(node, options);
    // The change of the time is a change, too.
    std::this_thread::sleep_for(300ms);
    node.append("fresh", "y");
    CHECK(copy.pass().remainder.files == 1);
    std::this_thread::sleep_for(300ms);
    copy.pass();
    CHECK(copy.pass().remainder.files == 0);
}

TEST_CASE("who looks up has a turn in every walk, and may end it, but not in a cut") {
    const Node node;
    for (const char* name : {"a/1", "b/1", "b/c/1", "d/1"}) {
        node.write(name, name);
    }
    struct Interrupted {};
    std::uint64_t calls = 0;
    bool interrupt = true;
    LiveCopy* watched = nullptr;
    CopyOptions options = Copy::small_blocks();
    options.watch_limit = GENERATE(2U, 1000U);
    options.look_up_interval = 0ms;
    options.look_up = [&] {
        ++calls;
        if (interrupt) {
            throw Interrupted();
        }
        if (watched != nullptr) {
            // What this reports is not handled before the walk is over.
            std::filesystem::rename(node.path("b"), node.path("e"));
            std::filesystem::rename(node.path("a"), node.path("b"));
            std::filesystem::rename(node.path("e"), node.path("a"));
            watched->watch();
        }
    };
    CHECK_THROWS_AS(Copy(node, options), Interrupted);
    interrupt = false;
    Copy copy(node, options);
    CHECK(calls >= 8);
    watched = &*copy;
    for (int walks = 0; walks < 20; ++walks) {
        const std::uint64_t before = calls;
        copy->remainder();
        CHECK(calls > before);
    }
    interrupt = true;
    CHECK_THROWS_AS(copy.pass(), Interrupted);
    watched = nullptr;

    flood_events(node.data());
    CHECK(copy.cut().outcome == Outcome::events_lost);
    CHECK_THROWS_AS(copy.pass(), Interrupted);
    CHECK(copy.cut().outcome == Outcome::events_lost);
    interrupt = false;
    copy.pass();
    node.append("d/1", "more");
    calls = 0;
    CHECK(copy.cut().outcome == Outcome::captured);
    CHECK(calls == 0);
    CHECK(difference(node.image(), copy.finish()) == "");
}

TEST_CASE("in a walk, events do not run over") {
    const Node node;
    for (int number = 0; number < 10; ++number) {
        node.write(std::to_string(number) + "/file", "x");
    }
    const auto queue = std::stoull(harness::read_file("/proc/sys/fs/inotify/max_queued_events"));
    int floods = 6;
    CopyOptions options = Copy::small_blocks();
    options.look_up_interval = 0ms;
    options.look_up = [&] {
        if (floods > 0) {
            --floods;
            for (std::uint64_t events = 0; events < queue / 3; events += 2) {
                node.append("one", "x");
                node.append("two", "x");
            }
            std::filesystem::rename(node.path(std::to_string(floods)),
                                    node.path("moved" + std::to_string(floods)));
        }
    };
    Copy copy(node, options);
    CHECK(floods == 0);
    SECTION("when everything is listed") {}
    SECTION("when everything is looked at anew") {
        flood_events(node.path("9"));
        CHECK(copy.cut().outcome == Outcome::events_lost);
        for (int number = 0; number < 6; ++number) {
            std::filesystem::rename(node.path("moved" + std::to_string(number)),
                                    node.path(std::to_string(number)));
        }
        floods = 6;
        copy->remainder();
        CHECK(floods == 0);
    }
    CHECK(copy.cut().outcome == Outcome::captured);
    CHECK(difference(node.image(), copy.finish()) == "");
}
