#include "sidecar/definitions/json_writer.hpp"

#include "erlang_port/error.hpp"
#include "sidecar/definitions/text.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace hot_backup {
namespace {

using erlang::Atom;
using erlang::BigInteger;
using erlang::Binary;
using erlang::List;
using erlang::Map;
using erlang::Term;
using erlang::Tuple;

// The decimal form of an integer takes quadratic time; nobody means one of ten thousand digits.
constexpr std::size_t longest_integer = 4096;  // bytes of its magnitude
constexpr const char* no_place_hint =
    "The snapshot itself is intact and holds it: report this as a defect with the record's name.";

// The text of an atom or binary, or nullptr.
const std::string* text_of(const Term& term) noexcept {
    if (const auto* atom = term.as<Atom>()) {
        return &atom->name;
    }
    const auto* binary = term.as<Binary>();
    return binary != nullptr ? &binary->bytes : nullptr;
}

bool is_pair(const Term& term) noexcept {
    const auto* tuple = term.as<Tuple>();
    return tuple != nullptr && tuple->elements.size() == 2 &&
           text_of(tuple->elements[0]) != nullptr;
}

bool is_property_list(const List& list) noexcept {
    return list.proper() && std::all_of(list.elements.begin(), list.elements.end(), is_pair);
}

const std::string& member_name(const Term& term) {
    const auto* name = text_of(term);
    if (name == nullptr) {
        throw Error(ErrorCode::failed, "JSON has no place for the key " + to_string(term),
                    no_place_hint);
    }
    return *name;
}

std::string decimal(const BigInteger& integer) {
    if (integer.magnitude.size() > longest_integer) {
        throw Error(ErrorCode::failed,
                    "an integer of " + std::to_string(integer.magnitude.size()) +
                        " bytes is too long for JSON",
                    "The snapshot itself is intact and holds it: find the argument or parameter "
                    "with this value and give it a sensible one.");
    }
    return integer.to_decimal();
}

}  // namespace

void JsonWriter::begin_object() {
    open('{');
}

void JsonWriter::end_object() {
    close('}');
}

void JsonWriter::begin_array() {
    open('[');
}

void JsonWriter::end_array() {
    close(']');
}

void JsonWriter::key(std::string_view name) {
    before_value();
    quoted(name);
    out_ += ':';
    after_key_ = true;
}

void JsonWriter::string(std::string_view text) {
    before_value();
    quoted(text);
}

void JsonWriter::boolean(bool value) {
    before_value();
    out_ += value ? "true" : "false";
}

void JsonWriter::term(const Term& term) {
    if (const auto* atom = term.as<Atom>()) {
        if (atom->name == "true" || atom->name == "false" || atom->name == "null") {
            before_value();
            out_ += atom->name;
        } else {
            string(atom->name);
        }
    } else if (const auto* binary = term.as<Binary>()) {
        string(binary->bytes);
    } else if (const auto* integer = term.as<std::int64_t>()) {
        before_value();
        out_ += std::to_string(*integer);
    } else if (const auto* big = term.as<BigInteger>()) {
        before_value();
        out_ += decimal(*big);
    } else if (const auto* number = term.as<double>()) {
        before_value();
        real(*number);
    } else if (const auto* map = term.as<Map>()) {
        members(*map);
    } else if (const auto* list = term.as<List>(); list != nullptr && list->proper()) {
        if (!list->elements.empty() && is_property_list(*list)) {
            members(*list);
        } else {
            begin_array();
            for (const auto& element : list->elements) {
                this->term(element);
            }
            end_array();
        }
    } else {
        throw Error(ErrorCode::failed, "JSON has no place for " + to_string(term), no_place_hint);
    }
}

void JsonWriter::object(const Term& term) {
    const auto* list = term.as<List>();
    if (list != nullptr && is_property_list(*list)) {
        members(*list);
    } else {
        this->term(term);
    }
}

void JsonWriter::open(char bracket) {
    before_value();
    out_ += bracket;
    empty_.push_back(true);
}

void JsonWriter::close(char bracket) {
    empty_.pop_back();
    out_ += bracket;
}

// Separates the value or key that comes next from what stands before it.
void JsonWriter::before_value() {
    if (after_key_) {
        after_key_ = false;
        return;
    }
    if (empty_.empty()) {
        return;
    }
    if (!empty_.back()) {
        out_ += ',';
    }
    empty_.back() = false;
}

void JsonWriter::quoted(std::string_view text) {
    static constexpr std::string_view hex = "0123456789abcdef";
    out_ += '"';
    bool replaced = false;
    while (!text.empty()) {
        const auto valid = valid_utf8_prefix(text);
        for (const char c : text.substr(0, valid)) {
            const auto code = static_cast<unsigned char>(c);
            if (c == '"' || c == '\\') {
                out_ += '\\';
                out_ += c;
            } else if (code < 0x20) {
                out_ += "\\u00";
                out_ += hex[code >> 4U];
                out_ += hex[code & 15U];
            } else {
                out_ += c;
            }
        }
        text.remove_prefix(valid);
        if (!text.empty()) {
            out_ += replacement_character;
            text.remove_prefix(1);
            replaced = true;
        }
    }
    replaced_strings_ += replaced ? 1 : 0;
    out_ += '"';
}

// The shortest text that reads back as the same number, always with a fraction so that importers
// keep it a float.
void JsonWriter::real(double value) {
    std::array<char, 32> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
    std::string text(digits.data(), end);
    if (text.find('.') == std::string::npos) {
        text.insert(std::min(text.find('e'), text.size()), ".0");
    }
    out_ += text;
}

void JsonWriter::members(const List& property_list) {
    begin_object();
    for (const auto& pair : property_list.elements) {
        const auto& elements = pair.as<Tuple>()->elements;
        key(member_name(elements[0]));
        term(elements[1]);
    }
    end_object();
}

void JsonWriter::members(const Map& map) {
    begin_object();
    for (const auto& [name, value] : map.pairs) {
        key(member_name(name));
        term(value);
    }
    end_object();
}

}  // namespace hot_backup
