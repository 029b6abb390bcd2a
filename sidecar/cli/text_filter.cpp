#define PCRE2_CODE_UNIT_WIDTH 8

#include "sidecar/cli/text_filter.hpp"

#include "erlang_port/error.hpp"

#include <pcre2.h>

#include <array>

namespace hot_backup {
namespace {

// Enough for every sensible expression, and over in some milliseconds for one that is not.
constexpr std::uint32_t most_steps = 1'000'000;
constexpr auto hint = "Try it with a shorter one, or without --regex.";

PCRE2_SPTR units(std::string_view text) {
    return reinterpret_cast<PCRE2_SPTR>(text.data());
}

std::string message_of(int code) {
    std::array<PCRE2_UCHAR, 256> text{};
    const int size = pcre2_get_error_message(code, text.data(), text.size());
    return size < 0 ? "error " + std::to_string(code)
                    : std::string(text.begin(), text.begin() + size);
}

struct Free {
    void operator()(pcre2_code* code) const { pcre2_code_free(code); }
    void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
    void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};

}  // namespace

struct TextFilter::Pattern {
    std::unique_ptr<pcre2_code, Free> code;
    std::unique_ptr<pcre2_match_data, Free> match;
    std::unique_ptr<pcre2_match_context, Free> limits;
};

TextFilter::TextFilter(const std::string& wanted, Syntax syntax)
    : pattern_(std::make_unique<Pattern>()) {
    const std::uint32_t options =
        PCRE2_UTF | PCRE2_CASELESS | (syntax == Syntax::text ? PCRE2_LITERAL : PCRE2_UCP);
    int error = 0;
    PCRE2_SIZE position = 0;
    pattern_->code.reset(
        pcre2_compile(units(wanted), wanted.size(), options, &error, &position, nullptr));
    if (!pattern_->code) {
        throw Error(ErrorCode::usage,
                    "the filter \"" + wanted + "\" is no " +
                        (syntax == Syntax::text ? "UTF-8 text: " : "regular expression: ") +
                        message_of(error) + " (at byte " + std::to_string(position) + ")",
                    syntax == Syntax::text ? "Write it in UTF-8." : hint);
    }
    pattern_->match.reset(pcre2_match_data_create_from_pattern(pattern_->code.get(), nullptr));
    pattern_->limits.reset(pcre2_match_context_create(nullptr));
    if (!pattern_->match || !pattern_->limits) {
        throw std::bad_alloc();
    }
    pcre2_set_match_limit(pattern_->limits.get(), most_steps);
}

TextFilter::~TextFilter() = default;
TextFilter::TextFilter(TextFilter&&) noexcept = default;
TextFilter& TextFilter::operator=(TextFilter&&) noexcept = default;

bool TextFilter::matches(std::string_view text) const {
    const int result = pcre2_match(pattern_->code.get(), units(text), text.size(), 0, 0,
                                   pattern_->match.get(), pattern_->limits.get());
    if (result < 0 && result != PCRE2_ERROR_NOMATCH) {
        throw Error(ErrorCode::usage,
                    "the filter cannot be compared with \"" + std::string(text) +
                        "\": " + message_of(result),
                    hint);
    }
    return result >= 0;
}

}  // namespace hot_backup
