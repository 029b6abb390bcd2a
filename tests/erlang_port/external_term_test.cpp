#include "erlang_port/external_term.hpp"

#include "erlang_port/error.hpp"
#include "tests/erlang_port/recorded.hpp"
#include "tests/harness/process.hpp"

#include <catch2/catch.hpp>

#include <limits>

using namespace erlang;
using namespace std::string_literals;
using hot_backup::Error;
using recorded::from_hex;
using recorded::to_hex;

namespace {

std::string encoded(const Term& term) {
    std::string bytes;
    encode_message(term, bytes);
    return bytes;
}

// Decodes the item of these hexadecimal bytes and prints it.
std::string text_of(const std::string& hex) {
    return to_string(decode_item(from_hex(hex)));
}

std::string error_of(const std::string& message_bytes) {
    try {
        decode_message(message_bytes);
    } catch (const Error& error) {
        return error.what();
    }
    return "no error";
}

// {a, {a, ... }}, `levels` deep, as an item.
std::string nested_tuples(std::size_t levels) {
    std::string bytes;
    for (std::size_t i = 0; i < levels; ++i) {
        bytes += "h\x01"s;
    }
    return bytes + "j";
}

}  // namespace

TEST_CASE("recorded terms decode and encode to the same bytes") {
    const auto examples = recorded::load(recorded::terms_file());
    REQUIRE(examples.size() > 60);
    for (const auto& example : examples) {
        INFO(example.text);
        CHECK(check_message(example.bytes).length + 1 == example.bytes.size());
        const auto term = decode_message(example.bytes);
        CHECK(to_hex(encoded(term)) == to_hex(example.bytes));
        CHECK(term == decode_message(example.bytes));
        CHECK(term == decode_item(std::string_view(example.bytes).substr(1)));
    }
}

TEST_CASE("recorded terms have the values that Erlang prints") {
    std::size_t compared = 0;
    for (const auto& example : recorded::load(recorded::terms_file())) {
        // What the file spells with calls or shortcuts is not what the shell prints.
        if (example.text.find_first_of("(:/") != std::string::npos ||
            example.text.find("bsl") != std::string::npos) {
            continue;
        }
        CHECK(to_string(decode_message(example.bytes)) == example.text);
        ++compared;
    }
    CHECK(compared > 40);
}

TEST_CASE("this machine's Erlang makes the recorded terms too") {
    const harness::TempDir directory;
    for (const auto& file : {recorded::terms_file(), recorded::messages_file()}) {
        const auto copy = directory.path() / file.filename();
        std::filesystem::copy_file(file, copy);
        const auto result = harness::run("escript", {recorded::recorder().string(), copy.string()});
        REQUIRE(result.error_output.empty());
        REQUIRE(result.exit_code == 0);
        const auto examples = recorded::load(file);
        const auto live = recorded::load(copy);
        REQUIRE(live.size() == examples.size());
        for (std::size_t i = 0; i < live.size(); ++i) {
            INFO(live[i].text);
            // A newer release may order the keys of a map in another way.
            CHECK(decode_message(live[i].bytes) == decode_message(examples[i].bytes));
            CHECK(encoded(decode_message(live[i].bytes)) == live[i].bytes);
        }
    }
}

TEST_CASE("forms that Erlang no longer writes are read") {
    CHECK(text_of("64000161") == "a");           // ATOM_EXT
    CHECK(text_of("640001e9") == "'\xc3\xa9'");  // in Latin-1
    CHECK(text_of("7301e9") == "'\xc3\xa9'");    // SMALL_ATOM_EXT
    CHECK(text_of("7600"
                  "02c3a9") == "'\xc3\xa9'");  // ATOM_UTF8_EXT
    CHECK(text_of("6900000001"
                  "6a") == "{[]}");  // LARGE_TUPLE_EXT, small
    CHECK(text_of("6c00000001"
                  "6107"
                  "6a") == "[7]");  // LIST_EXT of bytes
    CHECK(text_of("6c00000001"
                  "6101"
                  "6b000107") == "[1,7]");  // a list whose tail is a list
    CHECK(text_of("6c00000000"
                  "6101") == "1");  // a list without elements is its tail
    CHECK(text_of("6b0000") == "[]");
    CHECK(text_of("4d00000001"
                  "08"
                  "61") == "<<\"a\">>");  // BIT_BINARY_EXT of whole bytes
    CHECK(text_of("4d00000000"
                  "00") == "<<>>");
    CHECK(text_of("4d00000001"
                  "03"
                  "bf") == "<<5:3>>");  // unused bits are dropped
    const std::string digits = "2.50000000000000000000e-01";
    CHECK(text_of("63" + to_hex(digits + std::string(31 - digits.size(), '\0'))) == "0.25");
}

TEST_CASE("integers become the smallest value that holds them") {
    CHECK(text_of("6e02000700") == "7");
    CHECK(text_of("6e0000") == "0");
    CHECK(text_of("6e0001") == "0");
    CHECK(decode_item(from_hex("6e0801"
                               "0000000000000080")) ==
          Term(std::numeric_limits<std::int64_t>::min()));
    CHECK(decode_item(from_hex("6e0800"
                               "0000000000000080")) == integer(std::uint64_t{1} << 63));
    CHECK(decode_item(from_hex("6f0000000a00"
                               "01000000000000000000")) == integer(1));
}

TEST_CASE("identifiers of all releases are carried as they came") {
    using Kind = Opaque::Kind;
    const std::string node = "770161";
    const std::vector<std::pair<std::string, Kind>> identifiers{
        {"67" + node + "000000010000000201", Kind::pid},
        {"58" + node + "000000010000000200000003", Kind::pid},
        {"66" + node + "0000000101", Kind::port},
        {"59" + node + "0000000100000003", Kind::port},
        {"78" + node + "000000010000000200000003", Kind::port},
        {"65" + node + "0000000101", Kind::reference},
        {"720003" + node +
             "01"
             "000000010000000200000003",
         Kind::reference},
        {"5a0005" + node + "00000001" + std::string(40, '0'), Kind::reference},
        {"67"
         "64000161"
         "000000010000000201",
         Kind::pid},  // an old atom as node name
        {"71"
         "770161"
         "770162"
         "6102",
         Kind::fun},
        // NEW_FUN_EXT: size, arity, unique, index, one free variable, module, two integers, pid
        {"70"
         "00000039"
         "00" +
             std::string(32, '0') +
             "00000000"
             "00000001" +
             node + "6101" +
             "6201020304"
             "58" +
             node +
             "000000010000000200000003"
             "6107",
         Kind::fun},
    };
    for (const auto& [hex, kind] : identifiers) {
        INFO(hex);
        const auto term = decode_item(from_hex(hex));
        REQUIRE(term.as<Opaque>() != nullptr);
        CHECK(term.as<Opaque>()->kind == kind);
        CHECK(to_hex(term.as<Opaque>()->external) == hex);
        std::string bytes;
        encode_item(tuple({term, term}), bytes);
        CHECK(to_hex(bytes) == "6802" + hex + hex);
    }
}

TEST_CASE("malformed terms are refused with the offset of the byte") {
    const std::string prefix = "malformed Erlang term at byte ";
    const std::vector<std::pair<std::string, std::string>> malformed{
        {"", "0: not the version byte 131"},
        {"00", "0: not the version byte 131"},
        {"83", "1: cut off"},
        {"836a00", "2: more bytes after the end"},
        {"836802", "3: more elements than bytes"},
        {"83680261016100ff", "7: more bytes after the end"},
        {"8369ffffffff6a", "6: more elements than bytes"},
        {"836cffffffff6a", "6: more elements than bytes"},
        {"8374ffffffff6a", "6: more elements than bytes"},
        {"836dffffffff61", "7: cut off"},
        {"836fffffffff0061", "8: cut off"},
        {"8350000000016a", "1: a tag that is not known here"},  // compressed
        {"8352"
         "00",
         "1: a tag that is not known here"},  // an atom of the cache
        {"8379"
         "00",
         "1: a tag that is not known here"},  // a local term
        {"8344"
         "00",
         "1: a tag that is not known here"},  // a distribution header
        {"83467ff0000000000000", "2: a float that is not finite"},
        {"83467ff8000000000000", "2: a float that is not finite"},
        {"8363" + std::string(62, '0'), "2: a float that is not a number"},
        {"836e010207", "3: an integer with a wrong sign"},
        {"834d000000010961", "2: a bit string with a wrong number of bits"},
        {"834d000000010061", "2: a bit string with a wrong number of bits"},
        {"834d0000000003", "2: a bit string with a wrong number of bits"},
        {"837702c328", "1: an atom that is not UTF-8"},
        {"837703eda080", "1: an atom that is not UTF-8"},    // a surrogate
        {"837702c080", "1: an atom that is not UTF-8"},      // overlong
        {"837704f5808080", "1: an atom that is not UTF-8"},  // beyond Unicode
        {"837701c3", "1: an atom that is not UTF-8"},        // an unfinished character
        {"83760100" + std::string(512, '6'), "1: an atom that is too long"},
        {"8367"
         "6101"
         "000000010000000201",
         "2: not an atom where one must be"},
        {"835a0000"
         "770161"
         "00000001",
         "2: a reference of a wrong length"},
        {"835a0006"
         "770161"
         "00000001" +
             std::string(48, '0'),
         "2: a reference of a wrong length"},
        {"8371"
         "770161"
         "770162"
         "6a",
         "8: not the arity of a fun where it must be"},
        {"8370"
         "00000003",
         "1: a fun of a wrong size"},
        {"8370"
         "ffffffff",
         "1: a fun of a wrong size"},
    };
    for (const auto& [hex, expected] : malformed) {
        INFO(hex);
        CHECK(error_of(from_hex(hex)) == prefix + expected);
    }
}

TEST_CASE("the terms of a fun lie within its size") {
    const std::string node = "770161";
    const auto fun = [&node](const std::string& size, const std::string& count,
                             const std::string& variables) {
        return "83"
               "70" +
               size + "00" + std::string(32, '0') + "00000000" + count + node +
               "6101"
               "6101"
               "58" +
               node + "000000010000000200000003" + variables;
    };
    CHECK(error_of(from_hex(fun("00000036", "00000001", "6107"))) == "no error");
    CHECK_THAT(error_of(from_hex(fun("00000037", "00000001",
                                     "6107"
                                     "6a"))),
               Catch::Contains("byte 1: a fun of a wrong size"));
    CHECK_THAT(error_of(from_hex(fun("00000035", "00000001", "6107"))),
               Catch::Contains("byte 1: a fun of a wrong size"));
    CHECK_THAT(error_of(from_hex(fun("00000036", "ffffffff", "6107"))),
               Catch::Contains("byte 1: a fun of a wrong size"));
    CHECK_THAT(error_of(from_hex(fun("0000001d", "00000001", "6107"))),
               Catch::Contains("byte 1: a fun of a wrong size"));
    // A tuple in the fun may not reach for terms behind it.
    CHECK_THAT(error_of(from_hex(fun("00000036", "00000001",
                                     "6801"
                                     "6a"))),
               Catch::Contains("byte 1: a fun of a wrong size"));
}

TEST_CASE("a message cut at any length is refused") {
    auto files = recorded::load(recorded::terms_file());
    const auto messages = recorded::load(recorded::messages_file());
    files.insert(files.end(), messages.begin(), messages.end());
    for (const auto& example : files) {
        INFO(example.text);
        for (std::size_t length = 0; length < example.bytes.size(); ++length) {
            // A copy on the heap, so that a look beyond the end is one that the sanitizer sees.
            const std::vector<char> cut(
                example.bytes.begin(), example.bytes.begin() + static_cast<std::ptrdiff_t>(length));
            REQUIRE_THROWS_AS(decode_message({cut.data(), cut.size()}), Error);
        }
    }
}

TEST_CASE("deep nesting is checked without recursion and refused before it can hurt") {
    const std::size_t five_megabytes = 5'000'000;
    const auto deep = nested_tuples(five_megabytes / 2);
    CHECK(check_term(deep).length == deep.size());
    CHECK(check_term(deep).terms == five_megabytes / 2 + 1);
    CHECK_THROWS_WITH(decode_item(deep), "an Erlang term is nested more than 1000 levels deep");

    std::string lists;
    for (std::size_t i = 0; i < 1'000'000; ++i) {
        lists += "l\0\0\0\1"s;
    }
    lists += std::string(1'000'001, 'j');
    CHECK(check_term(lists).length == lists.size());
    CHECK_THROWS_AS(decode_item(lists), Error);

    CHECK(decode_item(nested_tuples(1000)).element(0) != nullptr);
    CHECK_THROWS_AS(decode_item(nested_tuples(1001)), Error);
}

TEST_CASE("a message of very many tiny terms is not decoded") {
    std::string bytes = "l\x00\x40\x00\x00"s + std::string(0x400000 + 1, 'j');
    CHECK(check_term(bytes).terms == 0x400000 + 2);
    CHECK_THROWS_WITH(decode_item(bytes), "an Erlang term has more than 4000000 parts");
}

TEST_CASE("what has no external form is not encoded") {
    std::string bytes;
    CHECK_THROWS_AS(encode_item(atom(std::string(70'000, 'a')), bytes), Error);
}

TEST_CASE("a list is a string while its length fits") {
    const auto longest = encoded(list(std::vector<Term>(65'535, integer(7))));
    CHECK(longest.size() == 4 + 65'535);
    const auto longer = encoded(list(std::vector<Term>(65'536, integer(7))));
    CHECK(longer.size() == 6 + 2 * 65'536 + 1);
    CHECK(decode_message(longer) == list(std::vector<Term>(65'536, integer(7))));
}

TEST_CASE("a list is read item by item") {
    const auto items_of = [](const std::string& message) {
        std::vector<Term> items;
        ListReader reader(message);
        while (auto item = reader.next()) {
            items.push_back(decode_item(*item));
        }
        return list(std::move(items));
    };
    for (const auto& term :
         {list({}), list({atom("a"), tuple({integer(1), list({atom("b")})}), binary("c")}),
          list({integer(0), integer(255)}), list({list({}), list({})})}) {
        CHECK(items_of(encoded(term)) == term);
        const auto bytes = encoded(term);
        for (std::size_t length = 0; length < bytes.size(); ++length) {
            CHECK_THROWS_AS(items_of(bytes.substr(0, length)), Error);
        }
        CHECK_THROWS_AS(items_of(bytes + "j"), Error);
    }
    CHECK_THROWS_AS(items_of(encoded(atom("a"))), Error);
    CHECK_THROWS_AS(items_of(encoded(Term(List{{atom("a")}, {atom("b")}}))), Error);
    CHECK_THROWS_WITH(items_of(from_hex("836c000000026101506a")),
                      "malformed Erlang term at byte 8: a tag that is not known here");
}
