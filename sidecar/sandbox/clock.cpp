// A library to preload (LD_PRELOAD) into a sandbox broker: it sets the time of day there.
//
// A broker that boots from a backup of last week drops messages whose time to live has passed since
// and cuts off streams by age, as RabbitMQ should. A sandbox is to show what the backup holds. Only
// the time of day is changed, which is what RabbitMQ compares with the time of a message; timers
// go by the monotonic clock.
//
// It passes as fast as everywhere else: Erlang derives its own time of day, by which quorum queues
// and streams go, from the monotonic clock once it runs, and would not follow a slower one.
//
// HOT_BACKUP_CLOCK has the time at which the program begins, in microseconds since 1970. Without it
// nothing is changed.
//
// Whatever this asks the kernel for, it asks itself (syscall): to look the C library's function up
// needs a symbol whose version depends on the C library, and this one is loaded by many.
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>

namespace {

constexpr long long nanoseconds = 1'000'000'000;

int real_clock_gettime(clockid_t id, timespec* time) {
    return static_cast<int>(::syscall(SYS_clock_gettime, id, time));
}

long long in_nanoseconds(const timespec& time) {
    return time.tv_sec * nanoseconds + time.tv_nsec;
}

// What has to be added to the real time.
const long long shift = [] {
    const char* begin = std::getenv("HOT_BACKUP_CLOCK");
    timespec now{};
    real_clock_gettime(CLOCK_REALTIME, &now);
    return begin == nullptr ? 0 : std::strtoll(begin, nullptr, 10) * 1000 - in_nanoseconds(now);
}();

}  // namespace

extern "C" {

int clock_gettime(clockid_t id, timespec* time) noexcept {
    const int result = real_clock_gettime(id, time);
    if (result == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) {
        const auto now = in_nanoseconds(*time) + shift;
        time->tv_sec = now / nanoseconds;
        time->tv_nsec = now % nanoseconds;
    }
    return result;
}

int gettimeofday(timeval* time, void* zone) noexcept {
    static_cast<void>(zone);  // nobody has used it since long ago
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t* result) noexcept {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    if (result != nullptr) {
        *result = now.tv_sec;
    }
    return now.tv_sec;
}

}  // extern "C"
