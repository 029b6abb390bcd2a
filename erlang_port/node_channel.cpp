#include "erlang_port/node_channel.hpp"

#include "erlang_port/error.hpp"
#include "erlang_port/plugin_error.hpp"

namespace erlang {
namespace {

using hot_backup::Error;
using hot_backup::ErrorCode;

constexpr const char* session_module = "rabbit_hot_backup_session";

// {badrpc, {'EXIT', {undef, [{Module, ...} | _]}}} with the session's module: the code is not
// loaded.
bool is_plugin_missing(const Term& result) {
    const auto* exit = result.element(1);
    const auto* reason = exit ? exit->element(1) : nullptr;
    const auto* undefined = reason ? reason->element(0) : nullptr;
    const auto* stack = reason && reason->element(1) ? reason->element(1)->as<List>() : nullptr;
    if (!undefined || !undefined->is_atom("undef") || !stack || stack->elements.empty()) {
        return false;
    }
    const auto* module = stack->elements.front().element(0);
    return module != nullptr && module->is_atom(session_module);
}

[[noreturn]] void fail_attach(const std::string& node, const Term& result) {
    const auto* tag = result.element(0);
    const auto* detail = result.element(1);
    if (tag && detail && tag->is_atom("badrpc") && is_plugin_missing(result)) {
        throw Error(ErrorCode::unreachable,
                    "the plugin rabbitmq_hot_backup is not enabled on the node " + node,
                    "Run `rabbitmq-plugins enable rabbitmq_hot_backup` on it.");
    }
    if (tag && detail && tag->is_atom("error") && detail->as<Map>()) {
        const auto error = plugin_error(*detail->as<Map>());
        throw Error(ErrorCode::unreachable, error.what(), error.hint());
    }
    throw Error(ErrorCode::unreachable,
                "the plugin of the node " + node + " did not take a session: " + to_string(result),
                "Look into the log of the broker.");
}

}  // namespace

NodeChannel::NodeChannel(const NodeOptions& options) : connection_(options) {
    const auto result =
        connection_.rpc(session_module, "attach", {connection_.self()}, options.timeout);
    const auto* tag = result.element(0);
    const auto* session = result.element(1);
    const auto* pid = session ? session->as<Opaque>() : nullptr;
    if (!tag || !tag->is_atom("ok") || !pid || pid->kind != Opaque::Kind::pid) {
        fail_attach(connection_.node(), result);
    }
    session_ = *session;
}

void NodeChannel::send(const Term& message, Clock::time_point deadline) {
    connection_.send(session_, message, deadline);
}

Channel::Received NodeChannel::receive(Clock::time_point deadline) {
    return connection_.receive(deadline);
}

}  // namespace erlang
