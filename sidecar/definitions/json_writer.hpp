// Writes JSON to a stream as it goes, straight from Erlang terms: a document of any size in
// constant memory.
//
// The JSON library is no help here: it holds a document whole and has no integers beyond 64 bits,
// which AMQP arguments and parameters may hold.
#pragma once

#include "erlang_port/term.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hot_backup {

class JsonWriter {
public:
    // Appends to `out`, which outlives it.
    explicit JsonWriter(std::string& out) : out_(out) {}

    void begin_object();
    void end_object();
    void begin_array();
    void end_array();

    void key(std::string_view name);
    void string(std::string_view text);
    void boolean(bool value);

    // A term as RabbitMQ's own JSON encoders write it: binaries and atoms as strings (true, false
    // and null as themselves), maps and property lists as objects, other lists as arrays. Throws
    // Error (failed) for what JSON has no place for, such as a tuple or a pid, and for an integer
    // that no reader would take.
    void term(const erlang::Term& term);

    // A map or a property list as an object, the empty list too. Anything else goes to term().
    void object(const erlang::Term& term);

    // How many strings held bytes that are not UTF-8; each such byte became U+FFFD.
    std::uint64_t replaced_strings() const noexcept { return replaced_strings_; }

private:
    void open(char bracket);
    void close(char bracket);
    void before_value();
    void quoted(std::string_view text);
    void real(double value);
    void members(const erlang::List& property_list);
    void members(const erlang::Map& map);

    std::string& out_;
    std::vector<bool> empty_;  // of each object and array that is open
    bool after_key_ = false;
    std::uint64_t replaced_strings_ = 0;
};

}  // namespace hot_backup
