#include "erlang_port/term.hpp"

#include <algorithm>
#include <limits>

namespace erlang {

std::string BigInteger::to_decimal() const {
    // Division of the whole magnitude by 10^9 at a time; the digits come out lowest first.
    std::vector<std::uint32_t> limbs((magnitude.size() + 3) / 4);  // the lowest one first
    for (std::size_t i = 0; i < magnitude.size(); ++i) {
        limbs[i / 4] |= std::uint32_t{magnitude[i]} << (i % 4 * 8);
    }
    constexpr std::uint64_t chunk = 1'000'000'000;
    std::string digits;
    while (true) {
        // What is left shrinks with each round.
        while (!limbs.empty() && limbs.back() == 0) {
            limbs.pop_back();
        }
        if (limbs.empty()) {
            break;
        }
        std::uint64_t remainder = 0;
        for (auto limb = limbs.rbegin(); limb != limbs.rend(); ++limb) {
            remainder = (remainder << 32) | *limb;
            *limb = static_cast<std::uint32_t>(remainder / chunk);
            remainder %= chunk;
        }
        for (int i = 0; i < 9; ++i, remainder /= 10) {
            digits.push_back(static_cast<char>('0' + remainder % 10));
        }
    }
    while (!digits.empty() && digits.back() == '0') {
        digits.pop_back();
    }
    if (digits.empty()) {
        return "0";
    }
    if (negative) {
        digits.push_back('-');
    }
    std::reverse(digits.begin(), digits.end());
    return digits;
}

bool Tuple::operator==(const Tuple& other) const {
    return elements == other.elements;
}

bool List::operator==(const List& other) const {
    return elements == other.elements && tail == other.tail;
}

bool Map::operator==(const Map& other) const {
    return pairs.size() == other.pairs.size() &&
           std::is_permutation(pairs.begin(), pairs.end(), other.pairs.begin());
}

const Term* Map::find(std::string_view atom_key) const noexcept {
    for (const auto& [key, value] : pairs) {
        if (key.is_atom(atom_key)) {
            return &value;
        }
    }
    return nullptr;
}

bool Term::is_atom(std::string_view name) const noexcept {
    const auto* atom = as<Atom>();
    return atom != nullptr && atom->name == name;
}

const Term* Term::element(std::size_t n) const noexcept {
    const auto* tuple = as<Tuple>();
    return tuple != nullptr && n < tuple->elements.size() ? &tuple->elements[n] : nullptr;
}

std::optional<std::uint64_t> Term::as_unsigned() const noexcept {
    if (const auto* small = as<std::int64_t>()) {
        return *small >= 0 ? std::optional(static_cast<std::uint64_t>(*small)) : std::nullopt;
    }
    const auto* big = as<BigInteger>();
    if (big == nullptr || big->negative || big->magnitude.size() > sizeof(std::uint64_t)) {
        return std::nullopt;
    }
    std::uint64_t value = 0;
    for (auto byte = big->magnitude.rbegin(); byte != big->magnitude.rend(); ++byte) {
        value = (value << 8) | *byte;
    }
    return value;
}

bool Term::operator==(const Term& other) const {
    return value_ == other.value_;
}

Term atom(std::string_view name) {
    return Atom{std::string(name)};
}

Term integer(std::uint64_t value) {
    if (value <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
        return static_cast<std::int64_t>(value);
    }
    BigInteger big;
    for (; value != 0; value >>= 8) {
        big.magnitude.push_back(static_cast<std::uint8_t>(value & 0xff));
    }
    return big;
}

Term binary(std::string_view bytes) {
    return Binary{std::string(bytes)};
}

Term tuple(std::vector<Term> elements) {
    return Tuple{std::move(elements)};
}

Term list(std::vector<Term> elements) {
    return List{std::move(elements), {}};
}

Term map(std::vector<std::pair<std::string_view, Term>> atom_keyed) {
    Map result;
    result.pairs.reserve(atom_keyed.size());
    for (auto& [key, value] : atom_keyed) {
        result.pairs.emplace_back(atom(key), std::move(value));
    }
    return result;
}

}  // namespace erlang
