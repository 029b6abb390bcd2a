#include "tests/capture/interleavings.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <future>
#include <system_error>
#include <vector>

namespace capture_test {

namespace {

void check(bool succeeded) {
    if (!succeeded) {
        throw std::system_error(errno, std::generic_category());
    }
}

// Several at once: most of a play is waiting, for the kernel to let its watches go.
constexpr std::uint64_t plays_at_once = 8;

// Whether the change came in each of them.
bool play_all(const Scenario& scenario, const std::vector<Circumstances>& all) {
    std::vector<std::future<Play>> plays;
    for (const Circumstances& circumstances : all) {
        plays.push_back(
            std::async(std::launch::async, [&] { return play(scenario, circumstances); }));
    }
    bool changed = true;
    for (std::size_t index = 0; index < all.size(); ++index) {
        INFO(scenario.name);
        INFO(to_text(all[index]));
        const Play played = plays[index].get();
        CHECK(played.differences == "");
        changed = changed && played.changed;
    }
    return changed;
}

}  // namespace

std::string fresh(std::size_t size) {
    static std::atomic<std::uint64_t> calls{0};
    return mutator::Random(calls.fetch_add(1) << 32U).bytes(size);
}

void put(const Path& path, std::size_t size) {
    std::filesystem::create_directories(path.parent_path());
    OpenFile file(path);
    file.truncate(0);
    file.append(fresh(size));
}

void append(const Path& path, std::size_t size) {
    OpenFile(path).append(fresh(size));
}

void overwrite(const Path& path, std::uint64_t offset, std::size_t size) {
    OpenFile(path).write_at(offset, fresh(size));
}

Path outside(const Path& data) {
    return data.parent_path() / "outside";
}

void exchange(const Path& first, const Path& second) {
    check(::renameat2(AT_FDCWD, first.c_str(), AT_FDCWD, second.c_str(), RENAME_EXCHANGE) == 0);
}

void set_times_of(const Path& path, const struct stat& status) {
    const struct timespec times[] = {status.st_atim, status.st_mtim};
    check(::utimensat(AT_FDCWD, path.c_str(), times, 0) == 0);
}

struct stat status_of(const Path& path) {
    struct stat status {};
    check(::stat(path.c_str(), &status) == 0);
    return status;
}

void two_directories(const Path& data) {
    put(data / "a" / "file", 10000);
    put(data / "a" / "inner" / "file");
    put(data / "b" / "file", 10000);
    put(data / "b" / "other");
    put(data / "single");
}

void play_everywhere(const Scenario& scenario) {
    std::vector<Circumstances> between;
    for (const bool inotify : {true, false}) {
        for (const Moment moment : {Moment::before_first_pass, Moment::before_last_pass,
                                    Moment::before_cut, Moment::after_cut}) {
            between.push_back({moment, inotify, 0});
        }
    }
    CHECK(play_all(scenario, between));
    for (const bool inotify : {true, false}) {
        for (const Moment moment : {Moment::within_pass, Moment::within_finish}) {
            bool changed = true;
            for (std::uint64_t first = 0; changed; first += plays_at_once) {
                std::vector<Circumstances> within;
                for (std::uint64_t block = first; block < first + plays_at_once; ++block) {
                    within.push_back({moment, inotify, block});
                }
                changed = play_all(scenario, within);
            }
        }
    }
}

}  // namespace capture_test
