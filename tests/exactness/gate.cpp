#include "tests/exactness/gate.hpp"

namespace exactness {

Gate::Member::Member(Gate& gate) : gate_(gate) {
    const std::lock_guard lock(gate_.mutex_);
    ++gate_.beyond_;
}

Gate::Member::~Member() {
    const std::lock_guard lock(gate_.mutex_);
    --gate_.beyond_;
    gate_.changed_.notify_all();
}

bool Gate::Member::pass(std::stop_token stop) {
    std::unique_lock lock(gate_.mutex_);
    if (!gate_.open_) {
        --gate_.beyond_;
        gate_.changed_.notify_all();
        gate_.changed_.wait(lock, stop, [this] { return gate_.open_; });
        ++gate_.beyond_;
    }
    return !stop.stop_requested();
}

void Gate::Member::rest(std::stop_token stop, std::chrono::steady_clock::time_point until) {
    std::unique_lock lock(gate_.mutex_);
    gate_.changed_.wait_until(lock, stop, until, [this] { return !gate_.open_; });
}

void Gate::open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
}

void Gate::close() {
    std::unique_lock lock(mutex_);
    open_ = false;
    changed_.notify_all();
    changed_.wait(lock, [this] { return beyond_ == 0; });
}

}  // namespace exactness
