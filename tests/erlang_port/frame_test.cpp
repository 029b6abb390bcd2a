#include "erlang_port/frame.hpp"

#include "erlang_port/error.hpp"
#include "erlang_port/external_term.hpp"
#include "erlang_port/stdio_channel.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <fstream>
#include <thread>

using namespace erlang;
using namespace std::chrono_literals;
using namespace std::string_literals;
using hot_backup::Error;
using Status = Frames::Status;
using What = Channel::Received::What;

namespace {

class Pipe {
public:
    Pipe() { REQUIRE(::pipe2(ends_.data(), O_CLOEXEC) == 0); }
    ~Pipe() {
        close_reader();
        close_writer();
    }
    Pipe(const Pipe&) = delete;
    Pipe& operator=(const Pipe&) = delete;
    int reader() const { return ends_[0]; }
    int writer() const { return ends_[1]; }
    void close_reader() { close_end(ends_[0]); }
    void close_writer() { close_end(ends_[1]); }
    void put(std::string_view bytes) const {
        REQUIRE(::write(writer(), bytes.data(), bytes.size()) ==
                static_cast<ssize_t>(bytes.size()));
    }

private:
    static void close_end(int& fd) {
        if (fd >= 0) {
            ::close(std::exchange(fd, -1));
        }
    }
    std::array<int, 2> ends_{-1, -1};
};

// Two pipes: what a port program has. `ours` is our side of them.
struct Wires {
    Pipe in;
    Pipe out;
    Frames ours{in.reader(), out.writer(), "the broker"};
};

Clock::time_point soon() {
    return Clock::now() + 20s;
}

// Like main() does.
const auto sigpipe_ignored = std::signal(SIGPIPE, SIG_IGN);

// A timer signal every 200 microseconds for as long as it lives.
class SignalStorm {
public:
    SignalStorm() {
        struct sigaction action {};
        action.sa_handler = [](int) { ++count; };
        ::sigaction(SIGALRM, &action, &before_);  // no SA_RESTART: calls end with EINTR
        set(200);
    }
    ~SignalStorm() {
        set(0);
        ::sigaction(SIGALRM, &before_, nullptr);
    }
    static inline std::atomic<int> count = 0;

private:
    static void set(suseconds_t interval) {
        const itimerval timer{{0, interval}, {0, interval}};
        ::setitimer(ITIMER_REAL, &timer, nullptr);
    }
    struct sigaction before_ {};
};

std::size_t resident_kib() {
    std::ifstream status("/proc/self/statm");
    std::size_t size = 0;
    std::size_t resident = 0;
    status >> size >> resident;
    return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)) / 1024;
}

}  // namespace

TEST_CASE("frames arrive whole and in order") {
    Wires wires;
    wires.in.put("\0\0\0\3abc\0\0\0\0\0\0\0\1x"s);
    REQUIRE(wires.ours.read(soon()) == Status::frame);
    CHECK(wires.ours.frame() == "abc");
    REQUIRE(wires.ours.read(soon()) == Status::frame);
    CHECK(wires.ours.frame().empty());
    REQUIRE(wires.ours.read(soon()) == Status::frame);
    CHECK(wires.ours.frame() == "x");
    CHECK(wires.ours.read(Clock::now()) == Status::timeout);
    CHECK(wires.ours.read(Clock::time_point::min()) == Status::timeout);
}

TEST_CASE("a frame that comes byte by byte is one frame") {
    Wires wires;
    for (const char byte : "\0\0\0\5hello"s) {
        CHECK(wires.ours.read(Clock::now()) == Status::timeout);
        wires.in.put({&byte, 1});
    }
    REQUIRE(wires.ours.read(soon()) == Status::frame);
    CHECK(wires.ours.frame() == "hello");
}

TEST_CASE("a frame is written with its length in front") {
    Wires wires;
    wires.ours.write("hello", soon());
    std::array<char, 16> bytes{};
    REQUIRE(::read(wires.out.reader(), bytes.data(), bytes.size()) == 9);
    CHECK(std::string(bytes.data(), 9) == "\0\0\0\5hello"s);
}

TEST_CASE("large frames pass through small pipes both ways at once") {
    Wires wires;
    Frames theirs(wires.out.reader(), wires.in.writer(), "the engine");
    const std::string large(3'000'000, 'x');
    std::thread other([&] {
        theirs.read(soon());
        theirs.write(theirs.frame(), soon());
    });
    wires.ours.write(large, soon());
    const auto status = wires.ours.read(soon());
    other.join();
    REQUIRE(status == Status::frame);
    CHECK(wires.ours.frame() == large);
}

TEST_CASE("a socket serves both directions with one descriptor") {
    std::array<int, 2> ends{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
    {
        Frames left(ends[0], ends[0], "right");
        Frames right(ends[1], ends[1], "left");
        left.write("ping", soon());
        REQUIRE(right.read(soon()) == Status::frame);
        right.write(right.frame(), soon());
        REQUIRE(left.read(soon()) == Status::frame);
        CHECK(left.frame() == "ping");
        CHECK((::fcntl(ends[0], F_GETFL) & O_NONBLOCK) != 0);
    }
    CHECK((::fcntl(ends[0], F_GETFL) & O_NONBLOCK) == 0);
    ::close(ends[0]);
    ::close(ends[1]);
}

TEST_CASE("a signal ends a wait for reading early and loses nothing") {
    Wires wires;
    const SignalStorm storm;
    const auto started = Clock::now();
    CHECK(wires.ours.read(Clock::now() + 60s) == Status::timeout);
    CHECK(Clock::now() - started < 30s);
}

TEST_CASE("frames survive a storm of signals") {
    Wires wires;
    Frames theirs(wires.out.reader(), wires.in.writer(), "the engine");
    const std::string large(2'000'000, 'y');
    const SignalStorm storm;
    const auto before = SignalStorm::count.load();
    std::string error;
    const auto read_frame = [](Frames& frames) {
        Status status = Status::timeout;
        for (const auto deadline = soon(); status == Status::timeout && Clock::now() < deadline;) {
            status = frames.read(deadline);
        }
        return status;
    };
    std::thread other([&] {
        for (int i = 0; i < 20 && read_frame(theirs) == Status::frame; ++i) {
            theirs.write(theirs.frame(), soon());
        }
    });
    int equal = 0;
    for (int i = 0; i < 20; ++i) {
        wires.ours.write(large, soon());
        equal += read_frame(wires.ours) == Status::frame && wires.ours.frame() == large;
    }
    other.join();
    CHECK(equal == 20);
    CHECK(SignalStorm::count - before > 10);
}

TEST_CASE("the end of the file between frames is a clean end, for good") {
    Wires wires;
    wires.in.put("\0\0\0\1x"s);
    wires.in.close_writer();
    CHECK(wires.ours.read(soon()) == Status::frame);
    CHECK(wires.ours.read(soon()) == Status::closed);
    CHECK(wires.ours.read(soon()) == Status::closed);
}

TEST_CASE("the end of the file inside a frame is an error") {
    for (const auto& part : {"\0"s, "\0\0\0"s, "\0\0\0\2"s, "\0\0\0\2x"s}) {
        Wires wires;
        wires.in.put(part);
        wires.in.close_writer();
        CHECK_THROWS_WITH(wires.ours.read(soon()),
                          "the broker closed the connection in the middle of a message");
        CHECK_THROWS_WITH(wires.ours.read(soon()),
                          "the broker closed the connection in the middle of a message");
    }
}

TEST_CASE("a frame that is too long is refused before it is read") {
    Wires wires;
    wires.in.put("\x0a\x00\x00\x01zzzz"s);  // 160 MiB and one byte
    CHECK_THROWS_WITH(wires.ours.read(soon()),
                      "the broker sent a message of 167772161 bytes, which is more than the "
                      "167772160 allowed");
    // What follows is not a header: no frame can be found any more.
    CHECK_THROWS_WITH(wires.ours.read(soon()), Catch::Contains("which is more than"));
    CHECK_THROWS_WITH(wires.ours.write("x", soon()), Catch::Contains("which is more than"));
    Frames narrow(wires.in.reader(), wires.out.writer(), "the broker", 10);
    CHECK_THROWS_AS(narrow.write("eleven byte", soon()), Error);
}

TEST_CASE("an announced length takes no memory before it comes") {
    Wires wires;
    wires.in.put("\x0a\x00\x00\x00zzzz"s);  // 160 MiB exactly
    const auto before = resident_kib();
    CHECK(wires.ours.read(Clock::now()) == Status::timeout);
    CHECK(resident_kib() < before + 4096);
}

TEST_CASE("writing to a closed pipe is an error and no signal") {
    Wires wires;
    wires.out.close_reader();
    for (int i = 0; i < 2; ++i) {
        CHECK_THROWS_WITH(wires.ours.write("x", soon()), "the broker closed the connection");
    }
}

TEST_CASE("writing to a side that does not read ends at the deadline") {
    Wires wires;
    const std::string large(1'000'000, 'x');
    const auto started = Clock::now();
    CHECK_THROWS_WITH(wires.ours.write(large, Clock::now() + 50ms),
                      "the broker does not read what it is sent");
    CHECK(Clock::now() - started >= 50ms);
    // Half a frame is out.
    CHECK_THROWS_WITH(wires.ours.write("x", soon()), Catch::Contains("does not read"));
    CHECK_THROWS_WITH(wires.ours.read(soon()), Catch::Contains("does not read"));
}

TEST_CASE("every error of a frame has a hint") {
    const auto hint_of = [](auto&& action) {
        try {
            action();
        } catch (const Error& error) {
            return error.hint();
        }
        return std::string("no error");
    };
    Wires wires;
    const std::string large(1'000'000, 'x');
    Frames narrow(wires.in.reader(), wires.out.writer(), "the broker", 10);
    CHECK_THAT(hint_of([&] { narrow.write("eleven byte", soon()); }), Catch::Contains("release"));
    CHECK_THAT(hint_of([&] { wires.ours.write(large, Clock::now()); }), Catch::Contains("load"));
    CHECK_THAT(hint_of([&] { Frames(-1, -1, "the broker"); }), Catch::Contains("by hand"));
    StdioChannel terms(wires.in.reader(), wires.out.writer());
    wires.in.put("\0\0\0\1x"s);
    CHECK_THAT(hint_of([&] { terms.receive(soon()); }), Catch::Contains("release"));
}

TEST_CASE("a stdio channel carries terms") {
    Pipe in;
    Pipe out;
    StdioChannel ours(in.reader(), out.writer());
    StdioChannel theirs(out.reader(), in.writer());
    const auto message = tuple({atom("ack"), integer(1), integer(2)});
    ours.send(message, soon());
    auto received = theirs.receive(soon());
    REQUIRE(received.what == What::message);
    CHECK(received.message == message);
    CHECK(theirs.receive(Clock::now()).what == What::timeout);
    out.close_writer();
    CHECK(theirs.receive(soon()).what == What::closed);
}

TEST_CASE("a stdio channel refuses what is not a term") {
    Pipe in;
    Pipe out;
    StdioChannel ours(in.reader(), out.writer());
    in.put("\0\0\0\0"s);
    CHECK_THROWS_AS(ours.receive(soon()), Error);
    in.put("\0\0\0\3\x83j\0"s);
    CHECK_THROWS_AS(ours.receive(soon()), Error);
    in.put("\0\0\0\2\x83j"s);
    CHECK(ours.receive(soon()).message == list({}));
}
