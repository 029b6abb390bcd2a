// A thread's time slice within a stop and after it.
#include "sidecar/engine/prompt_wakeup.hpp"

#include <sched.h>
#include <sys/resource.h>

#include <catch2/catch.hpp>

using namespace hot_backup;

TEST_CASE("a prompt wakeup shortens the time slice for as long as it lives") {
    const auto before = time_slice();
    const int policy = ::sched_getscheduler(0);
    const int nice = ::getpriority(PRIO_PROCESS, 0);
    {
        const PromptWakeup prompt;
        CHECK(::sched_getscheduler(0) == policy);
        CHECK(::getpriority(PRIO_PROCESS, 0) == nice);
        if (before) {
            CHECK(time_slice() < before);
        }
    }
    CHECK(time_slice() == before);
    CHECK(::sched_getscheduler(0) == policy);
    CHECK(::getpriority(PRIO_PROCESS, 0) == nice);
}
