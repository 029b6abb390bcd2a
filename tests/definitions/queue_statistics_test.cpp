#include "sidecar/definitions/queue_statistics.hpp"

#include "erlang_port/error.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

using namespace hot_backup;

namespace {

QueueStatistics queue(const std::string& vhost, const std::string& name) {
    QueueStatistics statistics;
    statistics.vhost = vhost;
    statistics.name = name;
    return statistics;
}

std::vector<QueueStatistics> read(std::string_view content, std::size_t piece_size = 1000) {
    std::vector<QueueStatistics> queues;
    QueueStatisticsReader reader([&](QueueStatistics read) { queues.push_back(std::move(read)); });
    while (!content.empty()) {
        const auto size = std::min(piece_size, content.size());
        reader.add(std::string(content.substr(0, size)));
        content.remove_prefix(size);
    }
    reader.finish();
    return queues;
}

std::string damage_of(std::string_view content) {
    try {
        read(content);
    } catch (const Error& error) {
        CHECK(error.code() == ErrorCode::damaged);
        CHECK_FALSE(error.hint().empty());
        return error.what();
    }
    return "nothing was wrong";
}

}  // namespace

TEST_CASE("a line of the statistics, to the byte") {
    auto statistics = queue("/", "orders");
    CHECK(to_line(statistics) == "{\"vhost\":\"/\",\"name\":\"orders\"}\n");
    statistics.ready = 1200;
    statistics.unacknowledged = 0;
    statistics.bytes = 45678;
    statistics.persistent = 1100;
    CHECK(to_line(statistics) ==
          R"({"vhost":"/","name":"orders","ready":1200,"unacknowledged":0,"bytes":45678,"persistent":1100})"
          "\n");
    auto stream = queue("/", "s");
    stream.first_offset = 0;
    stream.last_offset = 99;
    CHECK(to_line(stream) == R"({"vhost":"/","name":"s","first_offset":0,"last_offset":99})"
                             "\n");
}

TEST_CASE("statistics are read as they were written, in pieces of any size") {
    std::vector<QueueStatistics> queues;
    std::string content;
    for (int n = 0; n < 20; ++n) {
        auto statistics = queue("v\"\n", "q" + std::to_string(n) + std::string(1, '\x01'));
        if (n % 2 == 0) {
            statistics.ready = n;
            statistics.unacknowledged = INT64_MAX;
        }
        if (n % 3 == 0) {
            statistics.bytes = 1;
            statistics.first_offset = 2;
            statistics.last_offset = 3;
        }
        content += to_line(statistics);
        queues.push_back(std::move(statistics));
    }
    for (const std::size_t size : {std::size_t{1}, std::size_t{7}, content.size()}) {
        CHECK(read(content, size) == queues);
    }
    CHECK(read("").empty());
}

TEST_CASE("bytes that are not UTF-8 become U+FFFD, and the line stays one that is read") {
    const auto queues = read(to_line(queue("\xff", "\xe2\x82q\x80")));
    REQUIRE(queues.size() == 1);
    CHECK(queues[0] == queue("\xef\xbf\xbd", "\xef\xbf\xbd\xef\xbf\xbdq\xef\xbf\xbd"));
    const auto longest = queue(std::string(255, '\x01'), std::string(255, '\xff'));
    CHECK(read(to_line(longest)).size() == 1);
}

TEST_CASE("keys that are not known are ignored") {
    CHECK(read(R"({"vhost":"/","name":"q","new":[1]})"
               "\n") == std::vector{queue("/", "q")});
}

TEST_CASE("what is no line of statistics is damage, and named") {
    const std::string good = to_line(queue("/", "q"));
    const auto second = "line 2 of the statistics of the queues ";
    CHECK(damage_of(good + "x\n") == second + std::string("is not a JSON object"));
    CHECK(damage_of(good + "[]\n") == second + std::string("is not a JSON object"));
    CHECK(damage_of(good + "\n") == second + std::string("is not a JSON object"));
    CHECK(damage_of(good + "{\"vhost\":\"/\"}\n") == second + std::string("has no \"name\""));
    CHECK(damage_of(good + "{\"vhost\":1,\"name\":\"q\"}\n") ==
          second + std::string("has no \"vhost\""));
    for (const auto* number : {"-1", "1.5", "\"1\"", "null", "9223372036854775808"}) {
        CHECK(damage_of(good + "{\"vhost\":\"/\",\"name\":\"q\",\"ready\":" + number + "}\n") ==
              second + std::string("has a \"ready\" that is not from 0 to 2^63 - 1"));
    }
    CHECK(damage_of(good + good.substr(0, good.size() - 1)) == second + std::string("has no end"));
    CHECK(damage_of(good + std::string(70'000, ' ')) == second + std::string("is too long"));
    CHECK(damage_of(good + std::string(70'000, ' ') + "\n") == second + std::string("is too long"));
}
