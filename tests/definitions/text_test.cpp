#include "sidecar/definitions/text.hpp"

#include <catch2/catch.hpp>

#include <string>

using namespace hot_backup;

TEST_CASE("UTF-8 is told from what only looks like it") {
    const auto valid = [](const std::string& text) {
        return valid_utf8_prefix(text) == text.size();
    };
    CHECK(valid(""));
    CHECK(valid(std::string("a\0z", 3)));
    CHECK(valid("\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x90\x87"));
    CHECK(valid("\xED\x9F\xBF\xEE\x80\x80\xF4\x8F\xBF\xBF"));
    CHECK_FALSE(valid("\x80"));              // a continuation on its own
    CHECK_FALSE(valid("\xC0\x80"));          // overlong
    CHECK_FALSE(valid("\xE0\x9F\xBF"));      // overlong
    CHECK_FALSE(valid("\xF0\x8F\xBF\xBF"));  // overlong
    CHECK_FALSE(valid("\xED\xA0\x80"));      // a surrogate
    CHECK_FALSE(valid("\xF4\x90\x80\x80"));  // beyond U+10FFFF
    CHECK_FALSE(valid("\xF5\x80\x80\x80"));
    CHECK_FALSE(valid("\xE2\x82"));  // cut off
    CHECK_FALSE(valid("\xE2(\xA1"));
    CHECK(valid_utf8_prefix("ab\xC3\xA9\xFFzz") == 4);
}

TEST_CASE("each byte that is not UTF-8 is replaced") {
    CHECK(replace_invalid_utf8("") == "");
    CHECK(replace_invalid_utf8("a\xC3\xA9z") == "a\xC3\xA9z");
    CHECK(replace_invalid_utf8("\xFF") == replacement_character);
    CHECK(replace_invalid_utf8("a\xE2\x82z\x80") == "a\xEF\xBF\xBD\xEF\xBF\xBDz\xEF\xBF\xBD");
}

TEST_CASE("base64 as in RFC 4648") {
    CHECK(to_base64("") == "");
    CHECK(to_base64("f") == "Zg==");
    CHECK(to_base64("fo") == "Zm8=");
    CHECK(to_base64("foo") == "Zm9v");
    CHECK(to_base64("\xFB\xFF\xFE") == "+//+");
}

TEST_CASE("an argument that is not UTF-8 becomes a text that holds its base64") {
    CHECK(exported_argument("\xC3\xA9") == "\xC3\xA9");
    CHECK(exported_argument("\xFF\xFE") == "Not UTF-8, base64 is: //4=");
    // 57 bytes make a line of 76 characters: RabbitMQ ends it, although nothing follows.
    CHECK(exported_argument(std::string(57, '\xFF')) ==
          "Not UTF-8, base64 is: " + std::string(76, '/') + "\n");
    CHECK(exported_argument(std::string(58, '\xFF')) ==
          "Not UTF-8, base64 is: " + std::string(76, '/') + "\n/w==");
}
