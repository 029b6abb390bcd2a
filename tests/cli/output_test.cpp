#include "sidecar/cli/output.hpp"

#include <catch2/catch.hpp>

using namespace hot_backup;
using namespace std::chrono_literals;

TEST_CASE("bytes are shown in powers of a thousand") {
    CHECK(format_bytes(0) == "0 B");
    CHECK(format_bytes(999) == "999 B");
    CHECK(format_bytes(1000) == "1.0 kB");
    CHECK(format_bytes(41'234'567) == "41.2 MB");
    CHECK(format_bytes(999'960) == "1.0 MB");
    CHECK(format_bytes(UINT64_MAX) == "18.4 EB");
}

TEST_CASE("durations are shown in the unit that fits") {
    CHECK(format_duration(0) == "0 ms");
    CHECK(format_duration(0.0134) == "13 ms");
    CHECK(format_duration(0.9999) == "1.0 s");
    CHECK(format_duration(1.26) == "1.3 s");
    CHECK(format_duration(125) == "2 min 5 s");
}

TEST_CASE("columns are counted in characters, not bytes") {
    CHECK(pad("ab", 4) == "ab  ");
    CHECK(pad("\xc3\xa4\xe6\xbc\xa2", 4) == "\xc3\xa4\xe6\xbc\xa2  ");
    CHECK(pad("longer", 3) == "longer");
}

TEST_CASE("names cannot reach the terminal with control characters") {
    CHECK(printable("a\x1b[2Jb\n") == "a\\x1b[2Jb\\x0a");
    CHECK(printable("\xc3\xa4") == "\xc3\xa4");
}

TEST_CASE("pauses are shown in milliseconds") {
    CHECK(format_pause(0) == "0.0 ms");
    CHECK(format_pause(6149) == "6.1 ms");
    CHECK(format_pause(1'234'567) == "1234.6 ms");
}

TEST_CASE("the pace of a phase is that of its own progress") {
    constexpr std::uint64_t megabyte = 1'000'000;
    const Pace::Time begin{};
    Pace pace;
    pace.begin(begin, 100 * megabyte);
    CHECK_FALSE(pace.bytes_per_second(begin, 100 * megabyte));
    CHECK_FALSE(pace.bytes_per_second(begin + 499ms, 200 * megabyte));
    CHECK_FALSE(pace.bytes_per_second(begin + 1s, 100 * megabyte));
    CHECK_FALSE(pace.bytes_per_second(begin + 1s, 0));
    CHECK(pace.bytes_per_second(begin + 2s, 120 * megabyte) == 10 * megabyte);

    CHECK(pace.seconds_left(begin + 2s, 120 * megabyte, 150 * megabyte) == 3U);
    CHECK(pace.seconds_left(begin + 2s, 120 * megabyte, 150 * megabyte + 1) == 4U);
    CHECK(pace.seconds_left(begin + 2s, 120 * megabyte, 110 * megabyte) == 0U);
    CHECK_FALSE(pace.seconds_left(begin + 2s, 120 * megabyte, 0));
    CHECK_FALSE(pace.seconds_left(begin + 10ms, 120 * megabyte, 150 * megabyte));
    CHECK_FALSE(pace.seconds_left(begin + 2h, 100 * megabyte + 1, 150 * megabyte));

    pace.begin(begin + 1h, 0);
    CHECK(pace.bytes_per_second(begin + 1h + 1s, 5) == 5U);
}
