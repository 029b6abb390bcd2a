#include "erlang_port/term.hpp"

#include <catch2/catch.hpp>

#include <limits>

using namespace erlang;

TEST_CASE("integers outside of int64_t print in decimal") {
    CHECK(BigInteger{}.to_decimal() == "0");
    CHECK(BigInteger{false, {0, 0, 0, 0, 0, 0, 0, 0, 1}}.to_decimal() == "18446744073709551616");
    CHECK(BigInteger{true, {0, 0, 0, 0, 0, 0, 0, 0, 1}}.to_decimal() == "-18446744073709551616");
    CHECK(BigInteger{false, {0, 202, 154, 59}}.to_decimal() == "1000000000");
    const BigInteger power{false, std::vector<std::uint8_t>(32, 0xff)};
    CHECK(power.to_decimal() ==
          "115792089237316195423570985008687907853269984665640564039457584007913129639935");
}

TEST_CASE("an integer of any length prints in decimal") {
    std::string expected = "1";  // 2^bits, doubled digit by digit
    for (std::size_t bits = 0; bits <= 700; ++bits) {
        BigInteger power{true, std::vector<std::uint8_t>(bits / 8 + 1)};
        power.magnitude.back() = static_cast<std::uint8_t>(1U << bits % 8);
        REQUIRE(power.to_decimal() == "-" + expected);
        int carry = 0;
        for (auto digit = expected.rbegin(); digit != expected.rend(); ++digit) {
            const int doubled = (*digit - '0') * 2 + carry;
            *digit = static_cast<char>('0' + doubled % 10);
            carry = doubled / 10;
        }
        expected.insert(0, carry != 0 ? "1" : "");
    }
    // Zero bytes at the high end make no digits.
    CHECK(BigInteger{false, {7, 0, 0, 0, 0, 0, 0, 0, 0, 0}}.to_decimal() == "7");
    CHECK(BigInteger{true, {0, 0, 0, 0, 0}}.to_decimal() == "0");
}

TEST_CASE("unsigned integers go in and come out") {
    for (const std::uint64_t value : {std::uint64_t{0}, std::uint64_t{255}, std::uint64_t{1} << 63,
                                      std::numeric_limits<std::uint64_t>::max()}) {
        CHECK(integer(value).as_unsigned() == value);
    }
    CHECK(integer(1).as<std::int64_t>() != nullptr);
    CHECK(integer(std::uint64_t{1} << 63).as<BigInteger>() != nullptr);
    CHECK_FALSE(Term(std::int64_t{-1}).as_unsigned());
    CHECK_FALSE(Term(BigInteger{true, {0, 0, 0, 0, 0, 0, 0, 0x80}}).as_unsigned());
    CHECK_FALSE(Term(BigInteger{false, std::vector<std::uint8_t>(9, 1)}).as_unsigned());
    CHECK_FALSE(atom("one").as_unsigned());
}

TEST_CASE("maps are equal whatever the order of their pairs") {
    const auto ab = map({{"a", integer(1)}, {"b", integer(2)}});
    CHECK(ab == map({{"b", integer(2)}, {"a", integer(1)}}));
    CHECK_FALSE(ab == map({{"a", integer(2)}, {"b", integer(1)}}));
    CHECK_FALSE(ab == map({{"a", integer(1)}}));
    CHECK(*ab.as<Map>()->find("b") == integer(2));
    CHECK(ab.as<Map>()->find("c") == nullptr);
}

TEST_CASE("terms of different kinds differ") {
    CHECK_FALSE(atom("a") == binary("a"));
    CHECK_FALSE(integer(1) == Term(1.0));
    CHECK_FALSE(list({integer(1)}) == tuple({integer(1)}));
    CHECK_FALSE(list({atom("a")}) == Term(List{{atom("a")}, {atom("b")}}));
    CHECK(Term() == list({}));
}

TEST_CASE("elements are found in tuples only") {
    const auto pair = tuple({atom("a"), integer(1)});
    REQUIRE(pair.element(1) != nullptr);
    CHECK(*pair.element(1) == integer(1));
    CHECK(pair.element(2) == nullptr);
    CHECK(list({integer(1)}).element(0) == nullptr);
}

TEST_CASE("terms print as in Erlang's shell") {
    const auto prints = [](const Term& term) { return to_string(term); };
    CHECK(prints(atom("ok")) == "ok");
    CHECK(prints(atom("rabbit@broker")) == "rabbit@broker");
    CHECK(prints(atom("Ok")) == "'Ok'");
    CHECK(prints(atom("")) == "''");
    CHECK(prints(atom("end")) == "'end'");
    CHECK(prints(atom("it's\n")) == R"('it\'s\n')");
    CHECK(prints(Term(std::int64_t{-7})) == "-7");
    CHECK(prints(integer(std::numeric_limits<std::uint64_t>::max())) == "18446744073709551615");
    CHECK(prints(Term(1.0)) == "1.0");
    CHECK(prints(Term(-2.5e-7)) == "-2.5e-7");
    CHECK(prints(Term(1e100)) == "1.0e100");
    CHECK(prints(binary("")) == "<<>>");
    CHECK(prints(binary("say \"hi\"")) == R"(<<"say \"hi\"">>)");
    CHECK(prints(binary("\xc3\xa9")) == "<<\"\xc3\xa9\"/utf8>>");
    CHECK(prints(binary(std::string("\x00\xff", 2))) == "<<0,255>>");
    CHECK(prints(Term(BitString{"\xff\xa0", 3})) == "<<255,5:3>>");
    CHECK(prints(list({})) == "[]");
    CHECK(prints(list({integer(104), integer(105)})) == "\"hi\"");
    CHECK(prints(list({integer(1), atom("a")})) == "[1,a]");
    CHECK(prints(Term(List{{atom("a")}, {atom("b")}})) == "[a|b]");
    CHECK(prints(tuple({atom("a"), tuple({})})) == "{a,{}}");
    CHECK(prints(map({{"k", binary("v")}, {"l", integer(1)}})) == "#{k => <<\"v\">>,l => 1}");
    CHECK(prints(Term(Opaque{Opaque::Kind::pid, ""})) == "#Pid<...>");
}

TEST_CASE("a long term prints cut, never within a character") {
    CHECK(to_string(binary(std::string(1000, 'x')), 20) == "<<\"" + std::string(17, 'x') + "...");
    CHECK(to_string(binary("\xc3\xa9\xc3\xa9\xc3\xa9"), 6) == "<<\"\xc3\xa9...");
    const auto numbers = list(std::vector<Term>(1000, integer(1)));
    CHECK(to_string(numbers, 10) == "[1,1,1,1,1...");
}
