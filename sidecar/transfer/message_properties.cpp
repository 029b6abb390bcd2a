#include "sidecar/transfer/message_properties.hpp"

#include "erlang_port/error.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace hot_backup {
namespace {

// Flags of the first two bytes: amq0-9-1.xml, class basic. The headers come third.
constexpr unsigned content_type_flag = 1U << 15U;
constexpr unsigned content_encoding_flag = 1U << 14U;
constexpr unsigned headers_flag = 1U << 13U;

[[noreturn]] void no_properties() {
    throw Error(ErrorCode::failed, "a message has properties that AMQP 0-9-1 does not have",
                "Please report this: the source broker sent them.");
}

// Walks encoded bytes; beyond their end there is an error.
class Walker {
public:
    explicit Walker(std::string_view bytes) : rest_(bytes) {}

    std::string_view take(std::size_t count) {
        if (count > rest_.size()) {
            no_properties();
        }
        const auto taken = rest_.substr(0, count);
        rest_.remove_prefix(count);
        return taken;
    }

    std::size_t number(std::size_t bytes) {
        std::size_t value = 0;
        for (const char byte : take(bytes)) {
            value = value << 8U | static_cast<std::uint8_t>(byte);
        }
        return value;
    }

    std::string_view short_string() { return take(number(1)); }

    void skip_value() {
        switch (take(1).front()) {
            case 'V':
                return;
            case 't':
            case 'b':
            case 'B':
                take(1);
                return;
            case 's':
            case 'u':
                take(2);
                return;
            case 'I':
            case 'i':
            case 'f':
                take(4);
                return;
            case 'D':
                take(5);
                return;
            case 'l':
            case 'L':
            case 'd':
            case 'T':
                take(8);
                return;
            case 'S':
            case 'x':
            case 'A':
            case 'F':
                take(number(4));
                return;
            default:
                no_properties();
        }
    }

    bool at_end() const noexcept { return rest_.empty(); }
    std::string_view rest() const noexcept { return rest_; }

private:
    std::string_view rest_;
};

// The rows of a table but for those with these names.
std::string filter_table(std::string_view table, const std::vector<std::string_view>& names) {
    std::string kept;
    for (Walker rows(table); !rows.at_end();) {
        const auto before = rows.rest();
        const auto name = rows.short_string();
        rows.skip_value();
        if (std::find(names.begin(), names.end(), name) == names.end()) {
            kept += before.substr(0, before.size() - rows.rest().size());
        }
    }
    return kept;
}

void append_number(std::string& out, std::size_t value, unsigned bytes) {
    for (unsigned n = bytes; n-- > 0;) {
        out.push_back(static_cast<char>(value >> (8U * n) & 0xFFU));
    }
}

}  // namespace

std::string without_headers(std::string_view properties,
                            const std::vector<std::string_view>& headers) {
    Walker walker(properties);
    const auto flags = walker.number(2);
    if ((flags & headers_flag) == 0) {
        return std::string(properties);
    }
    const auto fields = walker.rest();
    for (const auto flag : {content_type_flag, content_encoding_flag}) {
        if ((flags & flag) != 0) {
            walker.short_string();
        }
    }
    const auto before = fields.substr(0, fields.size() - walker.rest().size());
    const auto table = walker.take(walker.number(4));
    const auto kept = filter_table(table, headers);
    if (kept.size() == table.size()) {
        return std::string(properties);
    }
    std::string result;
    append_number(result, kept.empty() ? flags & ~std::size_t{headers_flag} : flags, 2);
    result += before;
    if (!kept.empty()) {
        append_number(result, kept.size(), 4);
        result += kept;
    }
    result += walker.rest();
    return result;
}

}  // namespace hot_backup
