// What a copy does where it is refused something: watches, time, memory, descriptors, files.
#include "tests/capture/flood.hpp"
#include "tests/capture/live_copy_fixture.hpp"

#include "erlang_port/error.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <atomic>
#include <latch>
#include <memory>
#include <system_error>
#include <thread>

using namespace capture_test;
using namespace std::chrono_literals;
using hot_backup::CopyOptions;
using hot_backup::Cut;
using hot_backup::Error;
using hot_backup::LiveCopy;
using hot_backup::PassProgress;
using Outcome = hot_backup::Cut::Outcome;

namespace {

// Lowers the soft limit of open files while it lives.
class FileLimit {
public:
    explicit FileLimit(rlim_t files) {
        REQUIRE(::getrlimit(RLIMIT_NOFILE, &before_) == 0);
        const struct rlimit limit { files, before_.rlim_max };
        REQUIRE(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
    }
    FileLimit(const FileLimit&) = delete;
    FileLimit& operator=(const FileLimit&) = delete;
    ~FileLimit() { ::setrlimit(RLIMIT_NOFILE, &before_); }

private:
    struct rlimit before_ {};
};

std::size_t open_descriptors() {
    const std::filesystem::directory_iterator all("/proc/self/fd");
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

// The number that the next one gets.
rlim_t next_descriptor() {
    const int number = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    REQUIRE(number >= 0);
    ::close(number);
    return static_cast<rlim_t>(number);
}

struct ProcessMemory {
    std::uint64_t addresses = 0;  // bytes
    std::uint64_t resident = 0;
};

ProcessMemory process_memory() {
    std::ifstream file("/proc/self/statm");
    ProcessMemory memory;
    file >> memory.addresses >> memory.resident;
    const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    return {memory.addresses * page, memory.resident * page};
}

std::uint64_t resident_bytes() {
    return process_memory().resident;
}

// While it lives, no thread can be started, but for as many as are given back.
class NoMoreThreads {
public:
    NoMoreThreads() {
        REQUIRE(::getrlimit(RLIMIT_AS, &before_) == 0);
        limit_addresses(32 << 20);
        try {
            for (;;) {
                threads_.push_back(std::make_unique<Waiting>());
            }
        } catch (const std::system_error&) {
            // For what is no thread: less than a thread's stack.
            limit_addresses(1 << 20);
        }
    }
    NoMoreThreads(const NoMoreThreads&) = delete;
    NoMoreThreads& operator=(const NoMoreThreads&) = delete;
    ~NoMoreThreads() { ::setrlimit(RLIMIT_AS, &before_); }

    void give_back_one() { threads_.pop_back(); }

private:
    struct Waiting {
        ~Waiting() {
            end.count_down();
            thread.join();
        }
        std::latch end{1};
        std::thread thread{[this] { end.wait(); }};
    };

    void limit_addresses(std::uint64_t more) const {
        const struct rlimit limit { process_memory().addresses + more, before_.rlim_max };
        REQUIRE(::setrlimit(RLIMIT_AS, &limit) == 0);
    }

    struct rlimit before_ {};
    std::vector<std::unique_ptr<Waiting>> threads_;
};

// The message and the hint.
template <class Action>
std::pair<std::string, std::string> error_of(Action action) {
    try {
        action();
    } catch (const Error& error) {
        return {error.what(), error.hint()};
    }
    return {};
}

template <class Action>
void check_refused(const std::string& named, Action action) {
    const auto [message, hint] = error_of(action);
    CHECK_THAT(message, Catch::Contains(named));
    CHECK(hint.ends_with("."));
}

}  // namespace

TEST_CASE("a cut that is given too little captures nothing, and says what was too much") {
    const Node node;
    for (int number = 0; number < 20; ++number) {
        node.write("stream/S/" + std::to_string(number) + ".segment", "x");
    }
    CopyOptions options = Copy::small_blocks();
    options.memory_budget = 1 << 20;
    options.file_budget = 10;
    Copy copy(node, options);
    copy.pass();
    const std::size_t descriptors = open_descriptors();

    SECTION("memory") {
        node.write("small", bytes_of(100));
        node.write("large", bytes_of(2 << 20));
        const Cut cut = copy.cut();
        CHECK(cut.outcome == Outcome::over_budget);
        CHECK_THAT(cut.reason, Catch::Contains("3 MiB changed") && Catch::Contains("/data/large"));
        CHECK(cut.files == 0);
        CHECK(open_descriptors() == descriptors);
        CHECK(copy.pass().files == 2);
    }
    SECTION("files") {
        for (int number = 0; number < 11; ++number) {
            node.append("stream/S/" + std::to_string(number) + ".segment", "y");
        }
        const Cut cut = copy.cut();
        CHECK(cut.outcome == Outcome::over_budget);
        CHECK_THAT(cut.reason, Catch::Contains("11 files"));
        CHECK(copy.pass().files == 11);
    }
    SECTION("time") {
        node.append("stream/S/1.segment", "y");
        const Cut cut = copy->cut(LiveCopy::Clock::now() - 1us);
        CHECK(cut.outcome == Outcome::late);
        CHECK_FALSE(cut.reason.empty());
        CHECK(open_descriptors() == descriptors);
    }
    SECTION("descriptors") {
        for (int number = 0; number < 10; ++number) {
            node.append("stream/S/" + std::to_string(number) + ".segment", "y");
        }
        {
            const FileLimit limit(next_descriptor() + 5);
            const Cut cut = copy.cut();
            CHECK(cut.outcome == Outcome::over_budget);
            CHECK_THAT(cut.reason, Catch::Contains("LimitNOFILE"));
        }
        CHECK(open_descriptors() == descriptors);
    }
    CHECK(copy.cut().outcome == Outcome::captured);
    CHECK(difference(node.image(), copy.finish()) == "");
    CHECK(open_descriptors() <= descriptors);
}

#ifndef __SANITIZE_ADDRESS__  // A sanitizer needs descriptors itself to look at objects.
TEST_CASE("too few descriptors in a pass are an error that says what to raise") {
    const Node node;
    node.write("file", "x");
    Copy copy(node);
    const auto [message, hint] = error_of([&] {
        // One more is for the threads that read.
        const FileLimit limit(next_descriptor() + 1);
        copy.pass();
    });
    CHECK_THAT(message, Catch::Contains("/data/file"));
    CHECK_THAT(hint, Catch::Contains("LimitNOFILE"));
    CHECK(copy.pass().files == 1);
}

TEST_CASE("too few threads do the work of all; without any it is an error") {
    const Node node;
    for (int number = 0; number < 20; ++number) {
        node.write(std::to_string(number), bytes_of(100));
    }
    CopyOptions options = Copy::small_blocks();
    options.threads = 4;
    Copy copy(node, options);
    {
        NoMoreThreads none;
        check_refused("cannot start a thread", [&] { copy.pass(); });
        none.give_back_one();
        CHECK(copy.pass().files == 20);
    }
    CHECK(copy.cut().outcome == Outcome::captured);
    CHECK(difference(node.image(), copy.finish()) == "");
}
#endif

TEST_CASE("more files than a cut of a node with many queues has are no obstacle") {
    const Node node;
    for (int number = 0; number < 8000; ++number) {
        node.write(
            "stream/" + std::to_string(number % 100) + "/" + std::to_string(number) + ".segment",
            "");
    }
    Copy copy(node);
    struct rlimit limit {};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
    CHECK(copy.cut().outcome == (limit.rlim_cur > 8100 ? Outcome::captured : Outcome::over_budget));
}

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

TEST_CASE("a pass reads no faster than it may") {
    const Node node;
    node.write("file", bytes_of(1'000'000));
    node.write("other", bytes_of(1'000'000));
    CopyOptions options;
    options.rate_limit = 4'000'000;
    Copy copy(node, options);
    const auto started = LiveCopy::Clock::now();
    std::vector<std::uint64_t> done;
    copy->pass([&](const PassProgress& progress) { done.push_back(progress.done); });
    const auto duration = LiveCopy::Clock::now() - started;
    // Half a second, but for the first slice.
    CHECK(duration > 350ms);
    CHECK(duration < 2s);
    CHECK(done.size() >= 4);
    CHECK(done.back() == 2'000'000);
}

TEST_CASE("the tails are read no faster than that, either; what is in memory is there") {
    const Node node;
    node.write("stream/S/0.segment", bytes_of(2'000'000));
    node.write("LATEST.LOG", bytes_of(20'000'000));
    CopyOptions options;
    options.rate_limit = 4'000'000;
    Copy copy(node, options);
    CHECK(copy.cut().outcome == Outcome::captured);
    const auto started = LiveCopy::Clock::now();
    copy.finish();
    const auto duration = LiveCopy::Clock::now() - started;
    CHECK(duration > 350ms);
    CHECK(duration < 3s);
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

TEST_CASE("a file of any size takes little memory") {
    const Node node;
    node.write("file", "x");
    std::filesystem::resize_file(node.path("file"), std::uint64_t{256} << 20);
    CopyOptions options;
    options.block_size = 1 << 20;
    const std::uint64_t before = resident_bytes();
    std::uint64_t most = 0;
    std::mutex mutex;
    LiveCopy copy(
        node.roots(), {},
        [&](std::string_view bytes) {
            const std::lock_guard lock(mutex);
            most = std::max(most, resident_bytes());
            return hot_backup::Extent{"pack", 0, bytes.size(), hot_backup::checksum(bytes), {}};
        },
        options);
    copy.pass([](const PassProgress&) {});
    CHECK(copy.cut(LiveCopy::Clock::now() + 60s).files == 0);
    CHECK(most < before + (std::uint64_t{16} << 20));
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
