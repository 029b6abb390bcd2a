// Terms as text. Only for people: nothing reads it back.
#include "erlang_port/external_bytes.hpp"
#include "erlang_port/term.hpp"

#include <algorithm>
#include <charconv>

namespace erlang {
namespace {

bool is_lower(char c) {
    return c >= 'a' && c <= 'z';
}

bool is_word(char c) {
    return is_lower(c) || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '@';
}

bool is_reserved(std::string_view name) {
    static constexpr std::string_view words[] = {
        "after", "and",   "andalso", "band",   "begin",   "bnot", "bor", "bsl",  "bsr", "bxor",
        "case",  "catch", "cond",    "div",    "else",    "end",  "fun", "if",   "let", "maybe",
        "not",   "of",    "or",      "orelse", "receive", "rem",  "try", "when", "xor"};
    return std::find(std::begin(words), std::end(words), name) != std::end(words);
}

bool is_control(char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

bool is_text(std::string_view bytes) {
    return count_utf8_characters(bytes).has_value() &&
           std::none_of(bytes.begin(), bytes.end(),
                        [](char c) { return is_control(c) && c != '\n' && c != '\t'; });
}

class Printer {
public:
    explicit Printer(std::size_t limit) : limit_(limit) {}

    void print(const Term& term) {
        if (!full()) {
            std::visit([this](const auto& value) { put(value); }, term.value());
        }
    }

    std::string finish() {
        if (full()) {
            // Not in the middle of a character.
            auto end = limit_;
            while (end > 0 && (static_cast<unsigned char>(out_[end]) & 0xc0U) == 0x80) {
                --end;
            }
            out_.resize(end);
            out_ += "...";
        }
        return std::move(out_);
    }

private:
    bool full() const noexcept { return out_.size() > limit_; }

    void put(const Atom& atom) {
        const bool plain = !atom.name.empty() && is_lower(atom.name.front()) &&
                           std::all_of(atom.name.begin(), atom.name.end(), is_word) &&
                           !is_reserved(atom.name);
        plain ? void(out_ += atom.name) : quoted(atom.name, '\'');
    }

    void put(std::int64_t value) { out_ += std::to_string(value); }

    // The decimal form of a huge integer takes quadratic time, and nobody reads it.
    void put(const BigInteger& big) {
        out_ += big.magnitude.size() <= 64
                    ? big.to_decimal()
                    : "#Integer<" + std::to_string(big.magnitude.size()) + " bytes>";
    }

    void put(double value) {
        char buffer[32];
        const auto end = std::to_chars(std::begin(buffer), std::end(buffer), value).ptr;
        const std::string_view shortest(buffer, static_cast<std::size_t>(end - buffer));
        const auto exponent = shortest.find('e');
        const auto mantissa = shortest.substr(0, exponent);
        out_ += mantissa;
        if (mantissa.find('.') == std::string_view::npos) {
            out_ += ".0";
        }
        if (exponent != std::string_view::npos) {
            const auto digits = shortest.find_first_not_of("+-0", exponent + 1);
            out_ += shortest[exponent + 1] == '-' ? "e-" : "e";
            out_ += shortest.substr(digits);
        }
    }

    void put(const Binary& binary) {
        out_ += "<<";
        if (!binary.bytes.empty()) {
            segments(binary.bytes);
        }
        out_ += ">>";
    }

    void put(const BitString& bits) {
        out_ += "<<";
        const auto last = bits.bytes.size() - 1;
        for (std::size_t i = 0; i < last && !full(); ++i) {
            out_ += std::to_string(static_cast<unsigned char>(bits.bytes[i])) + ",";
        }
        const auto value = static_cast<unsigned char>(bits.bytes[last]);
        out_ += std::to_string(value >> (8 - bits.bits_in_last_byte)) + ":" +
                std::to_string(bits.bits_in_last_byte) + ">>";
    }

    void put(const Tuple& tuple) {
        out_ += '{';
        elements(tuple.elements);
        out_ += '}';
    }

    void put(const List& list) {
        if (const auto text = as_text(list)) {
            return quoted(*text, '"');
        }
        out_ += '[';
        elements(list.elements);
        if (!list.proper()) {
            out_ += '|';
            elements(list.tail);
        }
        out_ += ']';
    }

    void put(const Map& map) {
        out_ += "#{";
        const char* separator = "";
        for (const auto& [key, value] : map.pairs) {
            if (full()) {
                break;
            }
            out_ += separator;
            separator = ",";
            print(key);
            out_ += " => ";
            print(value);
        }
        out_ += '}';
    }

    // The shell's text for these depends on the node that prints it.
    void put(const Opaque& opaque) {
        static constexpr const char* names[] = {"#Pid<...>", "#Port<...>", "#Ref<...>",
                                                "#Fun<...>"};
        out_ += names[static_cast<std::size_t>(opaque.kind)];
    }

    void elements(const std::vector<Term>& elements) {
        const char* separator = "";
        for (const auto& element : elements) {
            if (full()) {
                return;
            }
            out_ += separator;
            separator = ",";
            print(element);
        }
    }

    void segments(const std::string& bytes) {
        if (is_text(bytes)) {
            quoted(bytes, '"');
            const bool ascii = std::all_of(bytes.begin(), bytes.end(),
                                           [](char c) { return static_cast<signed char>(c) >= 0; });
            out_ += ascii ? "" : "/utf8";
            return;
        }
        for (std::size_t i = 0; i < bytes.size() && !full(); ++i) {
            out_ += (i == 0 ? "" : ",") + std::to_string(static_cast<unsigned char>(bytes[i]));
        }
    }

    static std::optional<std::string> as_text(const List& list) {
        std::string text;
        for (const auto& element : list.elements) {
            const auto* code = element.as<std::int64_t>();
            if (code == nullptr || *code > 0x7e ||
                (*code < 0x20 && *code != '\n' && *code != '\t')) {
                return std::nullopt;
            }
            text.push_back(static_cast<char>(*code));
        }
        return list.proper() && !text.empty() ? std::optional(text) : std::nullopt;
    }

    void quoted(std::string_view text, char quote) {
        out_ += quote;
        for (const char c : text.substr(0, limit_ + 1)) {
            if (c == quote || c == '\\') {
                out_ += '\\';
            }
            if (c == '\n') {
                out_ += "\\n";
            } else if (c == '\t') {
                out_ += "\\t";
            } else if (is_control(c)) {
                const auto code = static_cast<unsigned>(c);
                out_ += {'\\', static_cast<char>('0' + (code >> 6)),
                         static_cast<char>('0' + ((code >> 3) & 7)),
                         static_cast<char>('0' + (code & 7))};
            } else {
                out_ += c;
            }
        }
        out_ += quote;
    }

    std::size_t limit_;
    std::string out_;
};

}  // namespace

std::string to_string(const Term& term, std::size_t limit) {
    Printer printer(limit);
    printer.print(term);
    return printer.finish();
}

}  // namespace erlang
