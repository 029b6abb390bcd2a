// Lets the threads of a load run, and makes them all stand still.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <stop_token>

namespace exactness {

class Gate {
public:
    // A thread of the load, as long as the object lives.
    class Member {
    public:
        explicit Member(Gate& gate);
        ~Member();
        Member(const Member&) = delete;
        Member& operator=(const Member&) = delete;

        // Waits while the gate is closed. False when the thread shall end.
        bool pass(std::stop_token stop);
        // Waits for some time, or less when the gate closes.
        void rest(std::stop_token stop, std::chrono::steady_clock::time_point until);

    private:
        Gate& gate_;
    };

    void open();
    // Returns when no member is beyond the gate.
    void close();

private:
    std::mutex mutex_;
    std::condition_variable_any changed_;
    bool open_ = false;
    std::size_t beyond_ = 0;  // members that the gate has let through
};

}  // namespace exactness
