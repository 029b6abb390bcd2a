// Erlang terms as text, as far as strings in them are concerned: what io:format("~p") writes.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hot_backup {

// A piece of the text: an atom, `=>`, a string, any other character. White space is between them.
struct ErlangPart {
    std::size_t begin = 0;
    std::size_t end = 0;
    std::string_view text;  // as written
    // Of a string, in UTF-8: in quotes, in several pieces ("abc" "def"), or a list of the numbers
    // of its characters, which is how one is written that has others than those of Latin-1.
    std::optional<std::string> string;
};

// The parts view `text`, which outlives them. Error failed: it ends within quotes.
std::vector<ErlangPart> parts_of_erlang_text(std::string_view text);

// The same term without bytes beyond ASCII, whichever encoding its reader takes it to have. They
// are in quotes, and of Latin-1.
std::string in_ascii(std::string_view text);

// A string of UTF-8, as such a text has it.
std::string to_erlang_text(const std::string& string);

}  // namespace hot_backup
