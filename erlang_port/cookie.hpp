// The secret that Erlang nodes of one cluster share.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace erlang {

// The files in which a cookie is looked for when none is named: $HOME/.erlang.cookie, then that
// of the packages' user rabbitmq.
std::vector<std::filesystem::path> usual_cookie_files();

// The cookie, without white space around it: from `file` when there is one, else from the
// environment variable RABBITMQ_ERLANG_COOKIE (as rabbitmqctl does), else from the first of
// `usual_files` that can be read. Throws Error (unreachable) that names every place tried and what
// was wrong with it.
std::string find_cookie(
    const std::optional<std::filesystem::path>& file,
    const std::vector<std::filesystem::path>& usual_files = usual_cookie_files());

}  // namespace erlang
