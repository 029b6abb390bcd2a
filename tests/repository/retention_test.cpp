// What `prune` keeps, as tables: when the backups were made, the rules, and what is left.
#include "sidecar/repository/retention.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <sstream>

using namespace hot_backup;

namespace {

Timestamp at(const std::string& text) {
    const auto time = parse_timestamp(text + ":00Z");
    REQUIRE(time);
    return *time;
}

std::chrono::seconds no_offset(Timestamp) {
    return std::chrono::seconds{0};
}

// Backups of one node at these times, made in this order.
std::vector<RetentionBackup> backups_at(const std::vector<std::string>& times) {
    std::vector<RetentionBackup> backups;
    for (const auto& time : times) {
        // What matters of an ID is its order.
        std::string number = std::to_string(1000 + backups.size());
        backups.push_back({std::move(number), "rabbit@here", at(time)});
    }
    return backups;
}

std::string to_text(const RetentionReasons& reasons) {
    std::string text;
    for (const auto reason : reasons) {
        text += (text.empty() ? "" : "+") + std::string(name_of(reason));
    }
    return text;
}

// The reasons for each backup, separated by spaces; "-" when it goes.
std::string apply(const std::vector<RetentionBackup>& backups, const RetentionRules& rules,
                  const UtcOffset& offset = no_offset) {
    std::string text;
    for (const auto& reasons : apply_retention(backups, rules, offset)) {
        text += (text.empty() ? "" : " ") + (reasons.empty() ? "-" : to_text(reasons));
    }
    return text;
}

// Without "newest_readable", which the newest backup has in every table that is not about it.
std::string kept(const std::vector<std::string>& times, const RetentionRules& rules,
                 const UtcOffset& offset = no_offset) {
    auto text = apply(backups_at(times), rules, offset);
    for (const std::string extra : {"+newest_readable", "newest_readable"}) {
        if (const auto found = text.find(extra); found != std::string::npos) {
            text.replace(found, extra.size(), extra.front() == '+' ? "" : "(newest)");
        }
    }
    return text;
}

// The local time of a zone in the notation of POSIX, which needs no time zone database.
class Zone {
public:
    explicit Zone(const char* text) {
        const char* before = std::getenv("TZ");
        if (before != nullptr) {
            before_ = before;
        }
        ::setenv("TZ", text, 1);
        ::tzset();
    }
    Zone(const Zone&) = delete;
    Zone& operator=(const Zone&) = delete;
    ~Zone() {
        if (before_) {
            ::setenv("TZ", before_->c_str(), 1);
        } else {
            ::unsetenv("TZ");
        }
        ::tzset();
    }

private:
    std::optional<std::string> before_;
};

}  // namespace

TEST_CASE("each rule keeps the newest backup of each of its last periods that have one") {
    struct Row {
        const char* what;
        std::vector<std::string> times;
        RetentionRules rules;
        const char* kept;
    };
    const std::vector<std::string> day{"2026-11-21T23:50", "2026-11-22T00:10", "2026-11-22T00:50",
                                       "2026-11-22T01:10"};
    const auto row = GENERATE_COPY(values<Row>({
        {"the last ones", day, {.last = 2}, "- - last last"},
        {"more than there are", day, {.last = 9}, "last last last last"},
        {"hours", day, {.hourly = 2}, "- - hourly hourly"},
        {"all hours", day, {.hourly = 99}, "hourly - hourly hourly"},
        {"days", day, {.daily = 1}, "- - - daily"},
        {"two days", day, {.daily = 2}, "daily - - daily"},
        {"days between which there are none",
         {"2026-11-01T10:00", "2026-11-10T10:00", "2026-11-22T10:00"},
         {.daily = 2},
         "- daily daily"},
        {"several rules",
         {"2025-12-31T12:00", "2026-11-21T12:00", "2026-11-22T12:00"},
         {.last = 1, .daily = 2, .monthly = 2, .yearly = 1},
         "monthly daily last+daily+monthly+yearly"},
        {"an hour of another day is another hour",
         {"2026-11-21T10:30", "2026-11-22T10:30"},
         {.hourly = 2},
         "hourly hourly"},
        {"a day of another month is another day",
         {"2026-10-22T10:30", "2026-11-22T10:30"},
         {.daily = 2},
         "daily daily"},
        {"a month of another year is another month",
         {"2025-11-22T10:30", "2026-11-22T10:30"},
         {.monthly = 2},
         "monthly monthly"},
        {"years",
         {"2024-06-01T00:00", "2025-01-01T00:00", "2025-12-31T23:59"},
         {.yearly = 2},
         "yearly - yearly"},
        {"weeks begin on Monday",
         {"2026-11-15T12:00", "2026-11-16T00:00", "2026-11-22T23:59", "2026-11-23T00:00"},
         {.weekly = 3},
         "weekly - weekly weekly"},
        {"the week of a year's end, 2024-12-30 to 2025-01-05, is one",
         {"2024-12-29T12:00", "2024-12-30T12:00", "2025-01-01T12:00", "2025-01-05T12:00"},
         {.weekly = 9},
         "weekly - - weekly"},
        {"a year of 53 weeks: 2020-12-28 to 2021-01-03",
         {"2020-12-27T12:00", "2020-12-31T12:00", "2021-01-03T12:00", "2021-01-04T12:00"},
         {.weekly = 9},
         "weekly - weekly weekly"},
        {"before 1970, which only a wrong clock knows",
         {"1969-12-28T12:00", "1969-12-29T12:00", "1970-01-01T12:00"},
         {.weekly = 9},
         "weekly - weekly"},
        {"a leap day",
         {"2024-02-28T12:00", "2024-02-29T12:00", "2024-03-01T12:00"},
         {.monthly = 2},
         "- monthly monthly"},
        {"equal times: the one that was made last",
         {"2026-11-22T10:00", "2026-11-22T10:00"},
         {.daily = 1},
         "- daily"},
        {"a backup of the future counts as any other",
         {"2026-11-21T10:00", "2026-11-22T10:00", "2036-01-01T10:00"},
         {.daily = 2},
         "- daily daily"},
        {"the clock went back: the order is that in which they were made",
         {"2036-01-01T10:00", "2026-11-21T10:00", "2026-11-22T10:00"},
         {.last = 1, .daily = 2},
         "- daily last+daily"},
        {"the clock went to and fro: a day is kept once",
         {"2026-11-22T10:00", "2026-11-21T10:00", "2026-11-22T11:00"},
         {.daily = 3},
         "- daily daily"},
        {"one backup", {"2026-11-22T10:00"}, {.yearly = 1}, "yearly"},
        {"none", {}, {.daily = 1}, ""},
    }));
    CAPTURE(row.what);
    CHECK(kept(row.times, row.rules) == row.kept);
}

TEST_CASE("periods are those of the calendar that was asked for") {
    const std::vector<std::string> times{"2026-11-21T22:30", "2026-11-21T23:30",
                                         "2026-11-22T22:59"};
    CHECK(kept(times, {.daily = 9}) == "- daily daily");
    const auto berlin = [](Timestamp) { return std::chrono::seconds{3600}; };
    CHECK(kept(times, {.daily = 9}, berlin) == "daily - daily");
    const auto nepal = [](Timestamp) { return std::chrono::seconds{20700}; };  // 5:45
    CHECK(kept({"2026-11-22T10:14", "2026-11-22T10:15", "2026-11-22T11:14"}, {.hourly = 9},
               nepal) == "hourly - hourly");
}

TEST_CASE("when clocks change, no hour is lost or taken twice") {
    const Zone zone("CET-1CEST,M3.5.0,M10.5.0/3");
    CHECK(local_offset(at("2026-03-29T00:59")) == std::chrono::hours{1});
    CHECK(local_offset(at("2026-03-29T01:00")) == std::chrono::hours{2});

    // 02:30 comes twice in autumn, and these are two hours of one day.
    const std::vector<std::string> autumn{"2026-10-24T21:59", "2026-10-24T22:00",
                                          "2026-10-25T00:30", "2026-10-25T01:30",
                                          "2026-10-25T22:59", "2026-10-25T23:00"};
    CHECK(kept(autumn, {.hourly = 9}, local_offset) == "hourly hourly hourly hourly hourly hourly");
    CHECK(kept(autumn, {.daily = 9}, local_offset) == "daily - - - daily daily");

    const std::vector<std::string> spring{"2026-03-28T22:59", "2026-03-28T23:00",
                                          "2026-03-29T00:30", "2026-03-29T01:30",
                                          "2026-03-29T21:59", "2026-03-29T22:00"};
    CHECK(kept(spring, {.hourly = 9}, local_offset) == "hourly hourly hourly hourly hourly hourly");
    CHECK(kept(spring, {.daily = 9}, local_offset) == "daily - - - daily daily");
}

TEST_CASE("each node has its own backups") {
    auto backups = backups_at({"2026-11-20T10:00", "2026-11-21T10:00", "2026-11-22T10:00"});
    backups[0].node = backups[1].node = "rabbit@there";
    CHECK(apply(backups, {.last = 1}) == "- last+newest_readable last+newest_readable");
}

TEST_CASE("a protected backup stays, and counts as any other") {
    auto backups = backups_at({"2026-11-20T10:00", "2026-11-21T10:00", "2026-11-22T10:00"});
    backups[0].is_protected = true;
    CHECK(apply(backups, {.last = 1}) == "protected - last+newest_readable");
    backups[2].is_protected = true;
    CHECK(apply(backups, {.last = 1}) == "protected - last+protected+newest_readable");
}

TEST_CASE("the newest backup that verifies is never removed") {
    auto backups = backups_at(
        {"2026-11-19T10:00", "2026-11-20T10:00", "2026-11-21T10:00", "2026-11-22T10:00"});
    SECTION("the newest known to be intact") {
        backups[0].intact = backups[1].intact = true;
        CHECK(apply(backups, {.last = 1}) == "- newest_intact - last");
    }
    SECTION("the newest, when none was verified") {
        CHECK(apply(backups, {.last = 1}) == "- - - last+newest_readable");
    }
    SECTION("the newest that is not damaged, when none is known to be intact") {
        backups[3].intact = false;
        CHECK(apply(backups, {.last = 1}) == "- - last+newest_readable no_intact_is_kept");
    }
    SECTION("the newest, when all are damaged: all of them stay") {
        for (auto& backup : backups) {
            backup.intact = false;
        }
        CHECK(apply(backups, {.last = 1}) ==
              "no_intact_is_kept no_intact_is_kept no_intact_is_kept newest_readable");
    }
}

TEST_CASE("a damaged backup takes no other one's place") {
    auto backups = backups_at(
        {"2026-11-20T10:00", "2026-11-21T10:00", "2026-11-22T10:00", "2026-11-22T11:00"});
    backups[3].intact = false;
    SECTION("it goes when a newer one that is intact is kept") {
        backups[2].intact = false;
        backups[3].intact = true;
        CHECK(apply(backups, {.daily = 2}) == "- daily - daily+newest_intact");
    }
    SECTION("and it stays when that is older") {
        backups[1].intact = true;
        CHECK(apply(backups, {.daily = 2}) == "- daily+newest_intact daily no_intact_is_kept");
    }
    SECTION("and when there is none") {
        CHECK(apply(backups, {.daily = 2}) == "- daily daily+newest_readable no_intact_is_kept");
    }
    SECTION("an intact one of another node does not help") {
        backups[1].node = "rabbit@there";
        backups[1].intact = true;
        CHECK(apply(backups, {.last = 1}) ==
              "- last+newest_intact last+newest_readable no_intact_is_kept");
    }
    SECTION("a protected one stays anyhow") {
        backups[2].intact = false;
        backups[3].intact = true;
        backups[2].is_protected = true;
        CHECK(apply(backups, {.daily = 2}) == "- daily protected daily+newest_intact");
    }
}

TEST_CASE("what cannot be read stays, and counts for nothing") {
    auto backups = backups_at({"2026-11-20T10:00", "2026-11-21T10:00", "2026-11-22T10:00"});
    backups[2] = {backups[2].id, "", {}, false};
    CHECK(apply(backups, {.last = 1}) == "- last+newest_readable unreadable");
}

TEST_CASE("the order in which they are given does not matter") {
    auto backups = backups_at({"2026-11-20T10:00", "2026-11-21T10:00", "2026-11-22T10:00"});
    std::reverse(backups.begin(), backups.end());
    CHECK(apply(backups, {.daily = 2}) == "daily+newest_readable daily -");
}

TEST_CASE("a year of backups, one each hour") {
    std::vector<RetentionBackup> backups;
    const auto begin = at("2025-11-22T00:30");
    constexpr int hours = 365 * 24;
    for (int hour = 0; hour < hours; ++hour) {
        backups.push_back(
            {std::to_string(1'000'000 + hour), "rabbit@here", begin + std::chrono::hours{hour}});
    }
    const auto reasons = apply_retention(
        backups, {.last = 3, .hourly = 24, .daily = 7, .weekly = 5, .monthly = 12, .yearly = 2},
        no_offset);
    const auto count = [&](RetentionReason reason) {
        return std::count_if(reasons.begin(), reasons.end(), [&](const RetentionReasons& some) {
            return std::find(some.begin(), some.end(), reason) != some.end();
        });
    };
    CHECK(count(RetentionReason::last) == 3);
    CHECK(count(RetentionReason::hourly) == 24);
    CHECK(count(RetentionReason::daily) == 7);
    CHECK(count(RetentionReason::weekly) == 5);
    CHECK(count(RetentionReason::monthly) == 12);
    CHECK(count(RetentionReason::yearly) == 2);
    const auto kept = std::count_if(reasons.begin(), reasons.end(),
                                    [](const RetentionReasons& some) { return !some.empty(); });
    // The last day has an hourly one only; months and weeks share some with days.
    CHECK(kept > 24 + 6 + 11);
    CHECK(kept < 24 + 7 + 5 + 12 + 2);
}
