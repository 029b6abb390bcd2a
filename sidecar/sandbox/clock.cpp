// A library to preload (LD_PRELOAD) into the broker of a restore drill: there it is the instant of
// the backup, and time of day passes a thousand times more slowly.
//
// A broker that boots from a backup of last week drops messages whose time to live has passed since
// and cuts off streams by age, as RabbitMQ should. A drill wants to see what the backup holds. Only
// the time of day is changed, which is what RabbitMQ compares with the time of a message; timers
// go by the monotonic clock.
//
// HOT_BACKUP_CLOCK has the instant, in microseconds since 1970. Without it nothing is changed.
#include <dlfcn.h>
#include <sys/time.h>

#include <cstdlib>
#include <ctime>

namespace {

constexpr long long nanoseconds = 1'000'000'000;
constexpr long long slowness = 1000;

using ClockGettime = int (*)(clockid_t, timespec*);

ClockGettime real_clock_gettime() {
    // A function from an object pointer is what dlsym() is for.
    static const auto function =
        reinterpret_cast<ClockGettime>(::dlsym(RTLD_NEXT, "clock_gettime"));  // NOLINT
    return function;
}

long long real_now() {
    timespec now{};
    real_clock_gettime()(CLOCK_REALTIME, &now);
    return now.tv_sec * nanoseconds + now.tv_nsec;
}

struct Clock {
    bool changed = false;
    long long instant = 0;  // nanoseconds since 1970
    long long begin = 0;    // the real time then

    Clock() {
        if (const char* text = std::getenv("HOT_BACKUP_CLOCK")) {
            changed = true;
            instant = std::strtoll(text, nullptr, 10) * 1000;
            begin = real_now();
        }
    }

    long long now() const { return instant + (real_now() - begin) / slowness; }
};

const Clock& clock_of_the_drill() {
    static const Clock clock;
    return clock;
}

}  // namespace

extern "C" {

int clock_gettime(clockid_t id, timespec* time) noexcept {
    const bool time_of_day = id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE;
    if (!time_of_day || !clock_of_the_drill().changed) {
        return real_clock_gettime()(id, time);
    }
    const auto now = clock_of_the_drill().now();
    time->tv_sec = now / nanoseconds;
    time->tv_nsec = now % nanoseconds;
    return 0;
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
