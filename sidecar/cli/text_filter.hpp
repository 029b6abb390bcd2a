// Finds names that the operator has only a part of, or a pattern for.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace hot_backup {

// Matches as the lists of RabbitMQ's management API do: anywhere in the text, in whatever case, in
// Unicode. Belongs to one thread.
class TextFilter {
public:
    enum class Syntax { text, regex };

    // A regular expression is one of Perl's. Error usage: it is none, or `wanted` is not UTF-8.
    TextFilter(const std::string& wanted, Syntax syntax);
    ~TextFilter();
    TextFilter(TextFilter&&) noexcept;
    TextFilter& operator=(TextFilter&&) noexcept;

    // `text` is UTF-8. Error usage: the expression needs more steps for it than anybody would want
    // to wait for.
    bool matches(std::string_view text) const;

private:
    struct Pattern;
    std::unique_ptr<Pattern> pattern_;
};

}  // namespace hot_backup
