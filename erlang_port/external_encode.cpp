#include "erlang_port/error.hpp"
#include "erlang_port/external_bytes.hpp"
#include "erlang_port/external_term.hpp"

#include <algorithm>
#include <bit>
#include <limits>

namespace erlang {
namespace {

class Encoder {
public:
    explicit Encoder(std::string& out) : out_(out) {}

    void term(const Term& term) {
        std::visit([this](const auto& value) { put(value); }, term.value());
    }

private:
    void put(const Atom& atom) {
        const bool small = atom.name.size() <= 255;
        tag(small ? Tag::small_atom_utf8 : Tag::atom_utf8);
        if (small) {
            number<1>(atom.name.size());
        } else {
            number<2>(length_within(atom.name.size(), 65'535));
        }
        out_ += atom.name;
    }

    void put(std::int64_t value) {
        if (value >= 0 && value <= 255) {
            tag(Tag::small_integer);
            number<1>(static_cast<std::uint64_t>(value));
        } else if (value >= std::numeric_limits<std::int32_t>::min() &&
                   value <= std::numeric_limits<std::int32_t>::max()) {
            tag(Tag::integer);
            number<4>(static_cast<std::uint64_t>(value));
        } else {
            // The negation in unsigned arithmetic is right for the smallest value too.
            auto magnitude = static_cast<std::uint64_t>(value);
            magnitude = value < 0 ? 0 - magnitude : magnitude;
            BigInteger big;
            big.negative = value < 0;
            for (; magnitude != 0; magnitude >>= 8) {
                big.magnitude.push_back(static_cast<std::uint8_t>(magnitude & 0xff));
            }
            put(big);
        }
    }

    void put(const BigInteger& big) {
        const bool small = big.magnitude.size() <= 255;
        tag(small ? Tag::small_big : Tag::large_big);
        if (small) {
            number<1>(big.magnitude.size());
        } else {
            number<4>(length(big.magnitude.size()));
        }
        number<1>(big.negative ? 1 : 0);
        out_.append(big.magnitude.begin(), big.magnitude.end());
    }

    void put(double value) {
        tag(Tag::new_float);
        number<8>(std::bit_cast<std::uint64_t>(value));
    }

    void put(const Binary& binary) {
        tag(Tag::binary);
        number<4>(length(binary.bytes.size()));
        out_ += binary.bytes;
    }

    void put(const BitString& bits) {
        tag(Tag::bit_binary);
        number<4>(length(bits.bytes.size()));
        number<1>(bits.bits_in_last_byte);
        out_ += bits.bytes;
    }

    void put(const Tuple& tuple) {
        const bool small = tuple.elements.size() <= 255;
        tag(small ? Tag::small_tuple : Tag::large_tuple);
        if (small) {
            number<1>(tuple.elements.size());
        } else {
            number<4>(length(tuple.elements.size()));
        }
        terms(tuple.elements);
    }

    void put(const List& list) {
        if (is_string(list)) {
            tag(Tag::string);
            number<2>(list.elements.size());
            for (const auto& element : list.elements) {
                out_.push_back(static_cast<char>(*element.as<std::int64_t>()));
            }
            return;
        }
        if (!list.elements.empty()) {
            tag(Tag::list);
            number<4>(length(list.elements.size()));
            terms(list.elements);
        }
        if (list.proper()) {
            tag(Tag::nil);
        } else {
            terms(list.tail);
        }
    }

    void put(const Map& map) {
        tag(Tag::map);
        number<4>(length(map.pairs.size()));
        for (const auto& [key, value] : map.pairs) {
            term(key);
            term(value);
        }
    }

    void put(const Opaque& opaque) { out_ += opaque.external; }

    // Erlang sends a list of bytes as a string when its length fits.
    static bool is_string(const List& list) {
        return list.proper() && !list.elements.empty() &&
               list.elements.size() <= max_string_length &&
               std::all_of(list.elements.begin(), list.elements.end(), [](const Term& element) {
                   const auto* value = element.as<std::int64_t>();
                   return value != nullptr && *value >= 0 && *value <= 255;
               });
    }

    void terms(const std::vector<Term>& elements) {
        for (const auto& element : elements) {
            term(element);
        }
    }

    void tag(Tag tag) { out_.push_back(static_cast<char>(tag)); }

    template <std::size_t length>
    void number(std::uint64_t value) {
        for (std::size_t i = length; i > 0; --i) {
            out_.push_back(static_cast<char>((value >> (8 * (i - 1))) & 0xff));
        }
    }

    static std::size_t length(std::size_t value) {
        return length_within(value, std::numeric_limits<std::uint32_t>::max());
    }

    static std::size_t length_within(std::size_t value, std::size_t limit) {
        if (value > limit) {
            throw hot_backup::Error(hot_backup::ErrorCode::failed,
                                    "an Erlang term has a part of length " + std::to_string(value) +
                                        ", which cannot be encoded",
                                    "Report this as a defect of this program.");
        }
        return value;
    }

    std::string& out_;
};

}  // namespace

void encode_message(const Term& term, std::string& out) {
    out.push_back(version_byte);
    encode_item(term, out);
}

void encode_item(const Term& term, std::string& out) {
    Encoder(out).term(term);
}

}  // namespace erlang
