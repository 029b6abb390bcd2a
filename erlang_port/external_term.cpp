#include "erlang_port/external_term.hpp"

#include "erlang_port/error.hpp"
#include "erlang_port/external_bytes.hpp"

#include <array>
#include <bit>
#include <iterator>
#include <limits>
#include <utility>
#include <vector>

namespace erlang {
namespace {

using hot_backup::Error;
using hot_backup::ErrorCode;

constexpr const char* large_term_hint =
    "No record of a broker is like that: verify the backup if the term came from one, else look "
    "into the log of the broker.";

// Builds the term of bytes that check_term() has accepted: no function here looks for their end.
class Decoder {
public:
    Decoder(std::string_view bytes, std::size_t start) : bytes_(bytes), position_(start) {}

    Term term() {
        const auto start = position_;
        const auto tag = static_cast<Tag>(number<1>());
        switch (tag) {
            case Tag::small_integer:
                return static_cast<std::int64_t>(number<1>());
            case Tag::integer:
                return std::int64_t{static_cast<std::int32_t>(number<4>())};
            case Tag::new_float:
                return std::bit_cast<double>(number<8>());
            case Tag::old_float:
                return parse_old_float(take(old_float_length)).value_or(0);
            case Tag::atom:
                return latin1_atom(number<2>());
            case Tag::small_atom:
                return latin1_atom(number<1>());
            case Tag::atom_utf8:
                return Atom{std::string(take(number<2>()))};
            case Tag::small_atom_utf8:
                return Atom{std::string(take(number<1>()))};
            case Tag::binary:
                return Binary{std::string(take(number<4>()))};
            case Tag::bit_binary:
                return bit_string();
            case Tag::small_big:
                return big_integer(number<1>());
            case Tag::large_big:
                return big_integer(number<4>());
            default:
                return compound(tag, start);
        }
    }

private:
    Term compound(Tag tag, std::size_t start) {
        switch (tag) {
            case Tag::small_tuple:
                return Tuple{terms(number<1>())};
            case Tag::large_tuple:
                return Tuple{terms(number<4>())};
            case Tag::nil:
                return List{};
            case Tag::string:
                return string();
            case Tag::list:
                return list();
            case Tag::map:
                return map();
            case Tag::pid:
            case Tag::new_pid:
                return opaque(Opaque::Kind::pid, start);
            case Tag::port:
            case Tag::new_port:
            case Tag::v4_port:
                return opaque(Opaque::Kind::port, start);
            case Tag::reference:
            case Tag::new_reference:
            case Tag::newer_reference:
                return opaque(Opaque::Kind::reference, start);
            default:
                return opaque(Opaque::Kind::fun, start);
        }
    }

    Term latin1_atom(std::size_t length) {
        Atom atom;
        for (const char c : take(length)) {
            const auto byte = static_cast<unsigned char>(c);
            if (byte < 0x80) {
                atom.name.push_back(c);
            } else {
                atom.name.push_back(static_cast<char>(0xc0U | (byte >> 6)));
                atom.name.push_back(static_cast<char>(0x80U | (byte & 0x3fU)));
            }
        }
        return atom;
    }

    Term bit_string() {
        const auto length = number<4>();
        const auto bits = static_cast<std::uint8_t>(number<1>());
        std::string bytes(take(length));
        if (bits == 0 || bits == 8) {
            return Binary{std::move(bytes)};
        }
        bytes.back() = static_cast<char>(static_cast<unsigned char>(bytes.back()) &
                                         static_cast<unsigned char>(0xff00U >> bits));
        return BitString{std::move(bytes), bits};
    }

    Term big_integer(std::size_t length) {
        BigInteger big;
        big.negative = number<1>() == 1;
        auto digits = take(length);
        digits = digits.substr(0, digits.find_last_not_of('\0') + 1);
        big.magnitude.assign(digits.begin(), digits.end());
        if (digits.size() > sizeof(std::uint64_t)) {
            return big;
        }
        std::uint64_t magnitude = 0;
        for (std::size_t i = digits.size(); i > 0; --i) {
            magnitude = (magnitude << 8) | big.magnitude[i - 1];
        }
        constexpr auto limit = std::uint64_t{1} << 63;
        if (magnitude < limit) {
            const auto value = static_cast<std::int64_t>(magnitude);
            return big.negative ? -value : value;
        }
        if (magnitude == limit && big.negative) {
            return std::numeric_limits<std::int64_t>::min();
        }
        return big;
    }

    std::vector<Term> terms(std::size_t count) {
        if (++nesting_ > max_nesting) {
            throw Error(ErrorCode::failed,
                        "an Erlang term is nested more than " + std::to_string(max_nesting) +
                            " levels deep",
                        large_term_hint);
        }
        std::vector<Term> result;
        result.reserve(count);
        for (std::size_t i = 0; i < count; ++i) {
            result.push_back(term());
        }
        --nesting_;
        return result;
    }

    Term string() {
        const auto bytes = take(number<2>());
        List list;
        list.elements.reserve(bytes.size());
        for (const char byte : bytes) {
            list.elements.emplace_back(std::int64_t{static_cast<unsigned char>(byte)});
        }
        return list;
    }

    Term list() {
        List list;
        list.elements = terms(number<4>());
        if (bytes_[position_] == static_cast<char>(Tag::nil)) {
            ++position_;
            return list;
        }
        auto tail = terms(1);
        if (auto* end = std::get_if<List>(&tail.front().value())) {
            // A list whose tail is a list is one list, in whatever pieces it was sent.
            list.elements.insert(list.elements.end(),
                                 std::make_move_iterator(end->elements.begin()),
                                 std::make_move_iterator(end->elements.end()));
            list.tail = std::move(end->tail);
        } else if (list.elements.empty()) {
            return std::move(tail.front());
        } else {
            list.tail = std::move(tail);
        }
        return list;
    }

    Term map() {
        Map map;
        auto keys_and_values = terms(2 * number<4>());
        map.pairs.reserve(keys_and_values.size() / 2);
        for (std::size_t i = 0; i < keys_and_values.size(); i += 2) {
            map.pairs.emplace_back(std::move(keys_and_values[i]),
                                   std::move(keys_and_values[i + 1]));
        }
        return map;
    }

    Term opaque(Opaque::Kind kind, std::size_t start) {
        const auto length = check_term(bytes_, start).length;
        position_ = start + length;
        return Opaque{kind, std::string(bytes_.substr(start, length))};
    }

    std::string_view take(std::size_t length) {
        const auto taken = bytes_.substr(position_, length);
        position_ += length;
        return taken;
    }

    template <std::size_t length>
    std::uint64_t number() {
        return big_endian<length>(take(length).data());
    }

    std::string_view bytes_;
    std::size_t position_;
    std::size_t nesting_ = 0;
};

Term decode(std::string_view bytes, std::size_t start, const CheckedTerm& checked) {
    if (checked.terms > max_terms) {
        throw Error(ErrorCode::failed,
                    "an Erlang term has more than " + std::to_string(max_terms) + " parts",
                    large_term_hint);
    }
    return Decoder(bytes, start).term();
}

}  // namespace

Term decode_message(std::string_view message) {
    return decode(message, 1, check_message(message));
}

std::string node_of(const Opaque& pid) {
    constexpr std::size_t after_tag = 1;
    const auto node = check_term(pid.external, after_tag).length;
    const auto name = decode_item(std::string_view(pid.external).substr(after_tag, node));
    return name.as<Atom>() != nullptr ? name.as<Atom>()->name : std::string();
}

Term decode_item(std::string_view item) {
    const auto checked = check_term(item);
    if (checked.length != item.size()) {
        malformed_term("more bytes after the end", checked.length);
    }
    return decode(item, 0, checked);
}

ListReader::ListReader(std::string_view message) : message_(message) {
    if (message.empty() || message.front() != version_byte) {
        malformed_term("not the version byte 131", 0);
    }
    if (message.size() < 2) {
        malformed_term("cut off", message.size());
    }
    const auto tag = static_cast<Tag>(message[1]);
    const std::size_t header = tag == Tag::list ? 6 : tag == Tag::string ? 4 : 2;
    if (message.size() < header) {
        malformed_term("cut off", message.size());
    }
    if (tag == Tag::list) {
        remaining_ = big_endian<4>(message.data() + 2);
        needs_tail_ = true;
    } else if (tag == Tag::string) {
        remaining_ = big_endian<2>(message.data() + 2);
        string_ = true;
    } else if (tag != Tag::nil) {
        malformed_term("not a list where one must be", 1);
    }
    position_ = header;
}

std::optional<std::string_view> ListReader::next() {
    if (remaining_ > 0) {
        --remaining_;
        if (string_) {
            return string_item();
        }
        const auto start = position_;
        position_ += check_term(message_, start).length;
        return message_.substr(start, position_ - start);
    }
    if (needs_tail_) {
        if (position_ >= message_.size() || message_[position_] != static_cast<char>(Tag::nil)) {
            malformed_term("no end of the list where it must be", position_);
        }
        ++position_;
        needs_tail_ = false;
    }
    if (position_ != message_.size()) {
        malformed_term("more bytes after the end", position_);
    }
    return std::nullopt;
}

std::string_view ListReader::string_item() {
    // Every byte's own external form: a string carries bare bytes.
    static constexpr auto items = [] {
        std::array<char, 512> forms{};
        for (std::size_t byte = 0; byte < 256; ++byte) {
            forms[2 * byte] = static_cast<char>(Tag::small_integer);
            forms[2 * byte + 1] = static_cast<char>(byte);
        }
        return forms;
    }();
    if (position_ >= message_.size()) {
        malformed_term("cut off", message_.size());
    }
    const auto byte = static_cast<unsigned char>(message_[position_++]);
    return {items.data() + 2 * std::size_t{byte}, 2};
}

}  // namespace erlang
