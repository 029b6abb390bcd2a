// A channel whose other side is a script: what the plugin would send, given out in order, and what
// the engine has sent, kept.
#pragma once

#include "erlang_port/channel.hpp"
#include "erlang_port/error.hpp"
#include "erlang_port/external_term.hpp"

#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace scripted {

struct Script {
    // What receive() gives next; when it is empty, time passes until the deadline.
    std::deque<erlang::Term> incoming;
    bool closed = false;  // once there is nothing more to give
    // What receive() throws, as channels do when bytes are no message.
    std::optional<hot_backup::Error> failure;
    std::vector<erlang::Term> sent;
    // Called with every message that the engine sends; may add to `incoming`.
    std::function<void(const erlang::Term&)> on_sent;

    void add(const std::string& message) { incoming.push_back(erlang::decode_message(message)); }
    std::string last_sent() const {
        std::string bytes;
        erlang::encode_message(sent.back(), bytes);
        return bytes;
    }
};

// The script outlives the channel.
class Channel final : public erlang::Channel {
public:
    explicit Channel(Script& script) : script_(script) {}

    void send(const erlang::Term& message, erlang::Clock::time_point) override {
        if (script_.closed && script_.incoming.empty()) {
            throw hot_backup::Error(hot_backup::ErrorCode::failed,
                                    "the broker closed the connection");
        }
        script_.sent.push_back(message);
        if (script_.on_sent) {
            script_.on_sent(message);
        }
    }

    Received receive(erlang::Clock::time_point deadline) override;

private:
    Script& script_;
};

}  // namespace scripted
