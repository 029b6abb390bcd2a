// The walk over untrusted bytes: nothing here may read beyond the end, recurse or allocate in
// proportion to a number that the bytes claim.
#include "erlang_port/error.hpp"
#include "erlang_port/external_bytes.hpp"
#include "erlang_port/external_term.hpp"

#include <vector>

namespace erlang {
namespace {

class Checker {
public:
    Checker(std::string_view bytes, std::size_t start)
        : bytes_(bytes), start_(start), position_(start) {}

    CheckedTerm run() {
        // Nesting needs no stack: it is enough to know how many terms are still to come. Only a fun
        // sets a limit within which its terms must end.
        while (true) {
            while (pending_ == 0 && !funs_.empty()) {
                end_fun();
            }
            if (pending_ == 0) {
                return {position_ - start_, terms_};
            }
            --pending_;
            ++terms_;
            term();
        }
    }

private:
    struct Fun {
        std::size_t start;
        std::size_t end;
        std::size_t pending_after;
    };

    void term() {
        const auto tag = static_cast<Tag>(number<1>());
        switch (tag) {
            case Tag::small_integer:
                return skip(1);
            case Tag::integer:
                return skip(4);
            case Tag::new_float:
                return new_float();
            case Tag::old_float:
                return old_float();
            case Tag::binary:
                return skip(number<4>());
            case Tag::bit_binary:
                return bit_binary();
            case Tag::small_big:
            case Tag::large_big:
                return big(tag);
            case Tag::string:
                return string();
            case Tag::nil:
                return;
            case Tag::list:
                return children(number<4>() + 1);
            case Tag::small_tuple:
                return children(number<1>());
            case Tag::large_tuple:
                return children(number<4>());
            case Tag::map:
                return children(2 * number<4>());
            default:
                --position_;
                return atom_or_identifier(tag);
        }
    }

    void atom_or_identifier(Tag tag) {
        switch (tag) {
            case Tag::atom:
            case Tag::small_atom:
            case Tag::atom_utf8:
            case Tag::small_atom_utf8:
                return atom();
            case Tag::pid:
                return identifier(9);
            case Tag::new_pid:
                return identifier(12);
            case Tag::port:
            case Tag::reference:
                return identifier(5);
            case Tag::new_port:
                return identifier(8);
            case Tag::v4_port:
                return identifier(12);
            case Tag::new_reference:
                return long_reference(1);
            case Tag::newer_reference:
                return long_reference(4);
            case Tag::export_fun:
                return export_fun();
            case Tag::new_fun:
                return new_fun();
            default:
                fail("a tag that is not known here", position_);
        }
    }

    void children(std::size_t count) {
        // Every term takes a byte at least. This bounds the counter and refuses a claimed arity at
        // once.
        if (count > left() || pending_ + count > left()) {
            fail("more elements than bytes", position_);
        }
        pending_ += count;
    }

    void new_float() {
        const auto at = position_;
        const auto bits = number<8>();
        constexpr std::uint64_t exponent = 0x7ff0'0000'0000'0000;
        if ((bits & exponent) == exponent) {
            fail("a float that is not finite", at);
        }
    }

    void old_float() {
        const auto at = position_;
        skip(old_float_length);
        if (!parse_old_float(bytes_.substr(at, old_float_length))) {
            fail("a float that is not a number", at);
        }
    }

    void bit_binary() {
        const auto at = position_;
        const auto length = number<4>();
        const auto bits = number<1>();
        if (bits > 8 || (bits == 0) != (length == 0)) {
            fail("a bit string with a wrong number of bits", at);
        }
        skip(length);
    }

    void big(Tag tag) {
        const auto length = tag == Tag::small_big ? number<1>() : number<4>();
        if (number<1>() > 1) {
            fail("an integer with a wrong sign", position_ - 1);
        }
        skip(length);
    }

    void string() {
        const auto length = number<2>();
        skip(length);
        terms_ += length;
    }

    void atom() {
        const auto at = position_;
        const auto tag = static_cast<Tag>(number<1>());
        const bool utf8 = tag == Tag::atom_utf8 || tag == Tag::small_atom_utf8;
        const bool small = tag == Tag::small_atom || tag == Tag::small_atom_utf8;
        if (!utf8 && !small && tag != Tag::atom) {
            fail("not an atom where one must be", at);
        }
        const auto length = small ? number<1>() : number<2>();
        const auto start = position_;
        skip(length);
        const auto characters =
            utf8 ? count_utf8_characters(bytes_.substr(start, length)) : std::optional(length);
        if (!characters) {
            fail("an atom that is not UTF-8", at);
        }
        if (*characters > max_atom_characters) {
            fail("an atom that is too long", at);
        }
    }

    // A tag, the node's name and numbers of `length` bytes.
    void identifier(std::size_t length) {
        skip(1);
        atom();
        skip(length);
    }

    void long_reference(std::size_t creation_length) {
        skip(1);
        const auto words = number<2>();
        if (words < 1 || words > max_reference_words) {
            fail("a reference of a wrong length", position_ - 2);
        }
        atom();
        skip(creation_length + 4 * words);
    }

    void export_fun() {
        skip(1);
        atom();
        atom();
        expect({Tag::small_integer}, "not the arity of a fun where it must be");
        skip(1);
    }

    void new_fun() {
        const auto start = position_;
        skip(1);
        // The size counts itself, not the tag.
        const auto size = number<4>();
        constexpr std::size_t fixed = 4 + 1 + 16 + 4 + 4;
        if (size < fixed || size - 4 > left()) {
            fail("a fun of a wrong size", start);
        }
        const auto end = start + 1 + size;
        skip(1 + 16 + 4);
        const auto variables = number<4>();
        atom();
        for (int i = 0; i < 2; ++i) {
            expect({Tag::small_integer, Tag::integer}, "not an integer of a fun where it must be");
            skip(bytes_[position_ - 1] == static_cast<char>(Tag::integer) ? 4 : 1);
        }
        expect({Tag::pid, Tag::new_pid}, "not the pid of a fun where it must be");
        --position_;
        atom_or_identifier(static_cast<Tag>(bytes_[position_]));
        if (position_ > end || variables > end - position_) {
            fail("a fun of a wrong size", start);
        }
        funs_.push_back({start, end, pending_});
        pending_ = variables;
    }

    void end_fun() {
        if (position_ != funs_.back().end) {
            fail("a fun of a wrong size", funs_.back().start);
        }
        pending_ = funs_.back().pending_after;
        funs_.pop_back();
    }

    void expect(std::initializer_list<Tag> tags, const char* what) {
        const auto found = static_cast<Tag>(number<1>());
        for (const auto tag : tags) {
            if (tag == found) {
                return;
            }
        }
        fail(what, position_ - 1);
    }

    std::size_t left() const noexcept { return bytes_.size() - position_; }

    void skip(std::size_t count) {
        if (count > left()) {
            fail("cut off", bytes_.size());
        }
        position_ += count;
    }

    template <std::size_t length>
    std::uint64_t number() {
        const auto at = position_;
        skip(length);
        return big_endian<length>(bytes_.data() + at);
    }

    [[noreturn]] static void fail(const char* what, std::size_t offset) {
        malformed_term(what, offset);
    }

    std::string_view bytes_;
    std::size_t start_;
    std::size_t position_;
    std::size_t pending_ = 1;
    std::size_t terms_ = 0;
    std::vector<Fun> funs_;
};

}  // namespace

CheckedTerm check_term(std::string_view bytes, std::size_t start) {
    return Checker(bytes, start).run();
}

CheckedTerm check_message(std::string_view message) {
    if (message.empty() || message.front() != version_byte) {
        malformed_term("not the version byte 131", 0);
    }
    const auto checked = check_term(message, 1);
    if (checked.length + 1 != message.size()) {
        malformed_term("more bytes after the end", checked.length + 1);
    }
    return checked;
}

}  // namespace erlang
