// Erlang's external term format: bytes that came from somewhere, checked and then read; and terms
// written as Erlang writes them.
//
// check_term() walks the bytes without recursion and without building anything, never looks
// beyond their end, and must pass before any other code sees them; everything else here calls it
// itself. Malformed input is hot_backup::Error (failed) that names the offset of the byte.
// Known are all tags that OTP 23 to 29 send to other programs. Compressed terms, atom cache
// references and local terms are refused: the protocol does not have them.
//
// A "message" is a version byte (131) and one term; an "item" is a term without the version byte.
#pragma once

#include "erlang_port/term.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace erlang {

inline constexpr char version_byte = '\x83';

// Bounds on what decoding builds, so that a hostile message costs neither the stack nor all of
// the memory (a term of one byte becomes a value of many). check_term() has no such bounds.
inline constexpr std::size_t max_nesting = 1'000;
inline constexpr std::size_t max_terms = 4'000'000;

struct CheckedTerm {
    std::size_t length = 0;  // of the external form, without a version byte
    std::size_t terms = 0;   // the term itself and all within it
};

// Checks the item that begins at `start`; more bytes may follow it.
CheckedTerm check_term(std::string_view bytes, std::size_t start = 0);
// Checks that `message` is a version byte, one term and nothing else.
CheckedTerm check_message(std::string_view message);

// The term of a message or of an item; there is nothing after it.
Term decode_message(std::string_view message);
Term decode_item(std::string_view item);

// The name of the node that a process runs, or ran, on.
std::string node_of(const Opaque& pid);

// Appends the bytes that term_to_binary(Term, [{minor_version, 2}]) gives, a map's pairs in the
// order in which the term holds them.
void encode_message(const Term& term, std::string& out);
void encode_item(const Term& term, std::string& out);

// Walks the items of a message that is a proper list, without building terms:
//
//     for (ListReader items(payload); auto item = items.next();) ... decode_item(*item)
//
// Each step checks the bytes it passes. The message outlives the reader; an item points into it
// (or, when the list was sent as a string, into a constant).
class ListReader {
public:
    explicit ListReader(std::string_view message);

    // The next item; nothing at the end of the list, when the message ends there too.
    std::optional<std::string_view> next();

private:
    std::string_view string_item();

    std::string_view message_;
    std::size_t position_ = 0;
    std::size_t remaining_ = 0;
    bool string_ = false;      // the items are single bytes
    bool needs_tail_ = false;  // an empty list is still to come after the last item
};

}  // namespace erlang
