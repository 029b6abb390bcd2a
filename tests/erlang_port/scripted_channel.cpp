#include "tests/erlang_port/scripted_channel.hpp"

#include <thread>

namespace scripted {

Channel::Received Channel::receive(erlang::Clock::time_point deadline) {
    if (script_.failure) {
        throw hot_backup::Error(*script_.failure);
    }
    if (!script_.incoming.empty()) {
        Received received{Received::What::message, std::move(script_.incoming.front())};
        script_.incoming.pop_front();
        return received;
    }
    if (script_.closed) {
        return {Received::What::closed, {}};
    }
    // Nothing can arrive any more: all there is to do is to let the time pass.
    std::this_thread::sleep_until(deadline);
    return {};
}

}  // namespace scripted
