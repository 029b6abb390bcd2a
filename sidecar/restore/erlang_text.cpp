#include "sidecar/restore/erlang_text.hpp"

#include "erlang_port/error.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>

namespace hot_backup {
namespace {

constexpr std::uint32_t highest_character = 0x10FFFF;

bool is_space(char c) {
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

bool is_atom_character(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '_' || c == '@';
}

void append_utf8(std::string& text, std::uint32_t character) {
    const auto byte = [&](std::uint32_t value) { text += static_cast<char>(value); };
    if (character < 0x80) {
        byte(character);
    } else if (character < 0x800) {
        byte(0xC0U | character >> 6);
        byte(0x80U | (character & 0x3FU));
    } else if (character < 0x10000) {
        byte(0xE0U | character >> 12);
        byte(0x80U | (character >> 6 & 0x3FU));
        byte(0x80U | (character & 0x3FU));
    } else {
        byte(0xF0U | character >> 18);
        byte(0x80U | (character >> 12 & 0x3FU));
        byte(0x80U | (character >> 6 & 0x3FU));
        byte(0x80U | (character & 0x3FU));
    }
}

// The characters of UTF-8; a byte that is none counts for itself.
std::vector<std::uint32_t> characters_of(const std::string& text) {
    std::vector<std::uint32_t> characters;
    for (std::size_t n = 0; n < text.size();) {
        const auto first = static_cast<std::uint8_t>(text[n]);
        const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : first >= 0xC0 ? 2 : 1;
        std::uint32_t character = length == 1 ? first : first & (0xFFU >> (length + 1));
        for (std::size_t more = 1; more < length && n + more < text.size(); ++more) {
            character = character << 6 | (static_cast<std::uint8_t>(text[n + more]) & 0x3FU);
        }
        characters.push_back(character);
        n += length;
    }
    return characters;
}

class Scanner {
public:
    explicit Scanner(std::string_view text) : text_(text) {}

    std::vector<ErlangPart> scan() {
        std::vector<ErlangPart> parts;
        for (skip_space(); at_ < text_.size(); skip_space()) {
            ErlangPart part;
            part.begin = at_;
            part.string = next();
            part.end = at_;
            part.text = text_.substr(part.begin, part.end - part.begin);
            parts.push_back(std::move(part));
        }
        return parts;
    }

private:
    void skip_space() {
        while (at_ < text_.size() && is_space(text_[at_])) {
            ++at_;
        }
    }

    // Goes over one part; returns what it says when it is a string.
    std::optional<std::string> next() {
        switch (text_[at_]) {
            case '"':
                return strings();
            case '\'':
                quoted(nullptr);
                return std::nullopt;
            case '[':
                return numbers();
            case '=':
                at_ += text_.substr(at_).starts_with("=>") ? 2U : 1U;
                return std::nullopt;
            default:
                break;
        }
        if (!is_atom_character(text_[at_])) {
            ++at_;
            return std::nullopt;
        }
        while (at_ < text_.size() && is_atom_character(text_[at_])) {
            ++at_;
        }
        return std::nullopt;
    }

    // Erlang breaks long strings into several that mean one.
    std::string strings() {
        std::string content;
        std::size_t end = at_;
        while (at_ < text_.size() && text_[at_] == '"') {
            quoted(&content);
            end = at_;
            skip_space();
        }
        at_ = end;
        return content;
    }

    void quoted(std::string* content) {
        const char quote = text_[at_++];
        while (at_ < text_.size() && text_[at_] != quote) {
            const auto character = text_[at_] == '\\' ? escaped() : latin1(text_[at_++]);
            if (content != nullptr) {
                append_utf8(*content, character);
            }
        }
        if (at_ >= text_.size()) {
            throw Error(ErrorCode::failed, "it ends within quotes");
        }
        ++at_;
    }

    static std::uint32_t latin1(char c) { return static_cast<std::uint8_t>(c); }

    std::uint32_t escaped() {
        static constexpr std::string_view letters = "nrtvbfesd";
        static constexpr std::string_view meanings = "\n\r\t\v\b\f\033 \177";
        ++at_;
        const char c = at_ < text_.size() ? text_[at_] : '\0';
        if (c == 'x') {
            ++at_;
            const bool braces = at_ < text_.size() && text_[at_] == '{';
            at_ += braces ? 1U : 0U;
            const auto character = number(16, braces ? 8 : 2);
            at_ += braces ? 1U : 0U;
            return character;
        }
        if (c >= '0' && c <= '7') {
            return number(8, 3);
        }
        ++at_;
        const auto letter = letters.find(c);
        return latin1(letter == std::string_view::npos ? c : meanings[letter]);
    }

    std::uint32_t number(int base, std::size_t most_digits) {
        std::uint32_t value = 0;
        const auto digits = text_.substr(at_, most_digits);
        const auto parsed =
            std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
        at_ += static_cast<std::size_t>(parsed.ptr - digits.data());
        return value;
    }

    // A list of nothing but the numbers of characters; of any other the bracket alone is a part.
    std::optional<std::string> numbers() {
        const std::size_t begin = at_++;
        std::string content;
        for (skip_space(); at_ < text_.size() && is_digit(text_[at_]); skip_space()) {
            const auto character = number(10, 9);
            append_utf8(content, std::min(character, highest_character));
            skip_space();
            if (at_ < text_.size() && text_[at_] == ']') {
                ++at_;
                return content;
            }
            if (at_ >= text_.size() || text_[at_++] != ',') {
                break;
            }
        }
        at_ = begin + 1;
        return std::nullopt;
    }

    std::string_view text_;
    std::size_t at_ = 0;
};

}  // namespace

std::vector<ErlangPart> parts_of_erlang_text(std::string_view text) {
    return Scanner(text).scan();
}

std::string in_ascii(std::string_view text) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    std::string result;
    for (const char c : text) {
        const auto byte = static_cast<std::uint8_t>(c);
        if (byte < 0x80) {
            result += c;
        } else {
            result.append("\\x{").append({digits[byte >> 4], digits[byte & 0xFU]}).append("}");
        }
    }
    return result;
}

std::string to_erlang_text(const std::string& string) {
    const auto characters = characters_of(string);
    const bool plain = std::ranges::all_of(
        characters, [](std::uint32_t character) { return character >= 0x20 && character < 0x7F; });
    std::string text;
    if (plain) {
        for (const char c : string) {
            text += c == '"' || c == '\\' ? std::string{'\\', c} : std::string{c};
        }
        return '"' + text + '"';
    }
    for (const auto character : characters) {
        text += (text.empty() ? "" : ",") + std::to_string(character);
    }
    return "[" + text + "]";
}

}  // namespace hot_backup
