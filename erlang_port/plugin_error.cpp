#include "erlang_port/plugin_error.hpp"

#include <string>

namespace erlang {
namespace {

using hot_backup::Error;
using hot_backup::ErrorCode;

std::string text(const Map& error, std::string_view key) {
    const auto* found = error.find(key);
    const auto* bytes = found ? found->as<Binary>() : nullptr;
    return bytes ? bytes->bytes : std::string();
}

ErrorCode code_of(const Map& error) {
    const auto* code = error.find("code");
    if (code && code->is_atom("cancelled")) {
        return ErrorCode::interrupted;
    }
    if (code && code->is_atom("locked")) {
        return ErrorCode::locked;
    }
    return code && code->is_atom("mismatch") ? ErrorCode::unreachable : ErrorCode::failed;
}

}  // namespace

Error plugin_error(const Map& error) {
    auto message = text(error, "message");
    if (message.empty()) {
        message = "the plugin reported an error without a message: " + to_string(Term(error));
    }
    auto hint = text(error, "hint");
    if (hint.empty()) {
        hint = "Look into the log of the broker.";
    }
    return {code_of(error), message, hint};
}

Term error_for_plugin(const Error& error) {
    const char* code = "failed";
    if (error.code() == ErrorCode::interrupted) {
        code = "cancelled";
    } else if (error.code() == ErrorCode::usage) {
        code = "unsupported";
    }
    return map(
        {{"code", atom(code)}, {"hint", binary(error.hint())}, {"message", binary(error.what())}});
}

}  // namespace erlang
