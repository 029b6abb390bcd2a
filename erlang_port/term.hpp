// An Erlang term as a C++ value.
//
// Every term that the external term format can carry has a place here, so that decode followed by
// encode gives an equal term. Identifiers (pids, ports, references, funs) are kept as the bytes
// they came in: the program passes them on and looks no further inside than for a pid's node.
// Values own their parts; copying a term copies all of it. No member is thread-safe on a term that
// another thread changes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace erlang {

class Term;

struct Atom {
    std::string name;  // UTF-8
    bool operator==(const Atom&) const = default;
};

// An integer outside the range of int64_t. Magnitude in little-endian bytes without zero bytes at
// the high end.
struct BigInteger {
    bool negative = false;
    std::vector<std::uint8_t> magnitude;
    bool operator==(const BigInteger&) const = default;
    // Takes time that grows with the square of the length.
    std::string to_decimal() const;
};

struct Binary {
    std::string bytes;
    bool operator==(const Binary&) const = default;
};

// A bit string whose length is not a multiple of eight: the last byte holds `bits_in_last_byte`
// (1..7) valid bits, the highest ones; the others are zero.
struct BitString {
    std::string bytes;
    std::uint8_t bits_in_last_byte = 0;
    bool operator==(const BitString&) const = default;
};

struct Tuple {
    std::vector<Term> elements;
    bool operator==(const Tuple&) const;
};

// A list. `tail` is empty for a proper list and holds exactly one term for an improper one.
// A list of small integers that came as a string is an ordinary list of integers.
struct List {
    std::vector<Term> elements;
    std::vector<Term> tail;
    bool proper() const noexcept { return tail.empty(); }
    bool operator==(const List&) const;
};

// Pairs in the order in which they were read. Equality ignores the order.
struct Map {
    std::vector<std::pair<Term, Term>> pairs;
    bool operator==(const Map&) const;
    // The value under an atom key, or nullptr.
    const Term* find(std::string_view atom_key) const noexcept;
};

// A pid, port, reference or fun: its external form, tag byte included, without the version byte.
struct Opaque {
    enum class Kind { pid, port, reference, fun };
    Kind kind{};
    std::string external;
    bool operator==(const Opaque&) const = default;
};

class Term {
public:
    using Value = std::variant<Atom, std::int64_t, BigInteger, double, Binary, BitString, Tuple,
                               List, Map, Opaque>;

    Term() : value_(List{}) {}
    template <class T>
    requires(!std::is_same_v<std::remove_cvref_t<T>, Term> && std::is_constructible_v<Value, T>)
        Term(T&& value)
        : value_(std::forward<T>(value)) {}  // NOLINT: terms are written as literals

    const Value& value() const noexcept { return value_; }
    Value& value() noexcept { return value_; }

    // The alternative, or nullptr when the term is something else.
    template <class T>
    const T* as() const noexcept {
        return std::get_if<T>(&value_);
    }
    bool is_atom(std::string_view name) const noexcept;
    // The n-th element (from 0) of a tuple, or nullptr.
    const Term* element(std::size_t n) const noexcept;
    // The integer, or nothing when the term is not one in the range of uint64_t.
    std::optional<std::uint64_t> as_unsigned() const noexcept;

    bool operator==(const Term& other) const;

private:
    Value value_;
};

// Shorthand for writing terms: tuple(atom("ack"), integer(1)).
Term atom(std::string_view name);
Term integer(std::uint64_t value);  // as int64_t where it fits, else as BigInteger
Term binary(std::string_view bytes);
Term tuple(std::vector<Term> elements);
Term list(std::vector<Term> elements);
Term map(std::vector<std::pair<std::string_view, Term>> atom_keyed);

// The term as Erlang's shell would print it (atoms quoted where needed, binaries as <<"...">>),
// cut after `limit` bytes: for error messages and tests.
std::string to_string(const Term& term, std::size_t limit = 200);

}  // namespace erlang
