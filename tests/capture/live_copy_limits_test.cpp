// What a copy does where it is refused something: watches, time, memory, descriptors, files.
#include "tests/capture/live_copy_fixture.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <latch>
#include <memory>
#include <system_error>
#include <thread>

using namespace capture_test;
using namespace std::chrono_literals;
using hot_backup::CopyOptions;
using hot_backup::Cut;
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
