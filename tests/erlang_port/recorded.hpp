// Recorded terms and messages: tests/erlang_port/terms.txt, tests/protocol/messages.txt.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace recorded {

struct Example {
    std::string name;       // empty for a term
    std::string direction;  // "engine" or "plugin"; empty for a term
    std::string text;       // the Erlang expression
    std::string bytes;
};

std::filesystem::path terms_file();
std::filesystem::path messages_file();
// The Erlang script that writes their bytes.
std::filesystem::path recorder();

// The examples of one of these files, or of a copy of it.
std::vector<Example> load(const std::filesystem::path& file);

// The bytes of the message of this name in messages.txt. Throws std::out_of_range when there is
// none.
std::string message(std::string_view name);

std::string from_hex(std::string_view digits);
std::string to_hex(std::string_view bytes);

}  // namespace recorded
