// A program that writes to a directory as a RabbitMQ node does to its own, until it is killed.
//
//     capture_mutator PLACE CONTROL SEED TINY_FILES
//
// It makes PLACE/data (the node's directory), PLACE/stream (streams that are kept elsewhere),
// PLACE/feature_flags, and PLACE/scratch, from where things move in. Each of its threads has its
// own files, as the processes of a node have. It keeps what RabbitMQ keeps: a file that is
// only appended to never changes below its length, and the newest file of a message store only
// grows.
#include "tests/capture/mutator/classic.hpp"
#include "tests/capture/mutator/others.hpp"
#include "tests/capture/mutator/raft.hpp"

#include <sys/resource.h>

#include <cstdlib>
#include <exception>
#include <functional>
#include <iostream>
#include <thread>

namespace {

using namespace mutator;

void play(Control& control, const std::function<void()>& step) {
    constexpr std::chrono::microseconds look_again{200};
    for (;;) {
        const std::uint32_t pause = control.pause.load();
        if (pause == idle) {
            std::this_thread::sleep_for(look_again);
            continue;
        }
        step();
        if (pause > 0) {
            std::this_thread::sleep_for(std::chrono::microseconds{pause});
        }
    }
}

// Ends the process: without one of its threads it would test less than it says.
std::thread start(Control& control, std::function<void()> step) {
    return std::thread([&control, step = std::move(step)] {
        try {
            play(control, step);
        } catch (const std::exception& error) {
            std::cerr << "capture_mutator: " << error.what() << std::endl;
            std::_Exit(1);
        }
    });
}

// The copy goes first: rounds get shorter, and all of them still have enough to do.
void lower_priority() {
    constexpr int niceness = 10;
    ::setpriority(PRIO_PROCESS, 0, niceness);
}

int run(const Path& place, const Path& control_file, std::uint64_t seed, std::uint64_t tiny_files) {
    const SharedControl control(control_file);
    Random chance[] = {Random(seed), Random(seed + 1), Random(seed + 2)};
    const Path data = place / "data";
    std::filesystem::create_directories(place / "scratch");
    std::filesystem::create_directories(data);

    const Scene first{chance[0], *control};
    Vhosts vhosts(first, data / "msg_stores" / "vhosts", place / "scratch");
    const Scene second{chance[1], *control};
    RaftSystem quorum(second, data / "quorum" / "rabbit@a");
    RaftSystem coordination(second, data / "coordination" / "rabbit@a");
    Mnesia mnesia(second, data, place / "feature_flags");
    const Scene third{chance[2], *control};
    Streams streams(third, data / "stream");
    Streams streams_elsewhere(third, place / "stream");
    Oddities oddities(third, data / "oddities", tiny_files);

    control->ready.store(1);
    std::thread threads[] = {
        start(*control, [&] { vhosts.step(); }),
        start(*control,
              [&] {
                  const std::uint64_t choice = chance[1].below(6);
                  choice == 0 ? mnesia.step() : choice == 1 ? coordination.step() : quorum.step();
              }),
        start(*control,
              [&] {
                  const std::uint64_t choice = chance[2].below(4);
                  choice == 0   ? streams.step()
                  : choice == 1 ? streams_elsewhere.step()
                                : oddities.step();
              }),
    };
    for (std::thread& thread : threads) {
        thread.join();
    }
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 5) {
        std::cerr << "usage: capture_mutator PLACE CONTROL SEED TINY_FILES\n";
        return 2;
    }
    lower_priority();
    try {
        return run(argv[1], argv[2], std::strtoull(argv[3], nullptr, 10),
                   std::strtoull(argv[4], nullptr, 10));
    } catch (const std::exception& error) {
        std::cerr << "capture_mutator: " << error.what() << '\n';
        return 1;
    }
}
