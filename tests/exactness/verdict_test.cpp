// Each thing that can be wrong with an image is noticed, and nothing else is.
#include "tests/exactness/verdict.hpp"
#include "tests/exactness/message.hpp"

#include <catch2/catch.hpp>

using namespace exactness;
using std::chrono::microseconds;

namespace {

constexpr Time at(int microsecond) {
    return Time(microseconds(microsecond));
}

const Standstill standstill{at(100), at(110)};
const QueueName first{"/", "first"};
const QueueName second{"/", "second"};
const std::vector<Pipeline> pipelines{{first, second}};

// Message 1 is in the first queue, 2 in both, 3 in the second, 4 was taken from there.
std::map<QueueName, Records> sound_ledger() {
    return {{first,
             {{1, {true, at(1), at(2), {}}},
              {2, {true, at(1), at(2), {}}},
              {3, {true, at(1), at(2), at(50)}},
              {4, {true, at(1), at(2), at(50)}}}},
            {second,
             {{2, {true, at(30), at(40), {}}},
              {3, {true, at(30), at(40), {}}},
              {4, {true, at(30), at(40), at(60)}}}}};
}

Messages sound_messages() {
    return {{first, {1, 2}}, {second, {2, 3}}};
}

Verdict judge_with(const std::map<QueueName, Records>& ledger, const Messages& messages) {
    return judge(ledger, pipelines, messages, standstill);
}

}  // namespace

TEST_CASE("an exact image has no faults") {
    const Verdict verdict = judge_with(sound_ledger(), sound_messages());
    CHECK(verdict.exact());
    // Four that have to be there, three on their way through the pipeline, four found.
    CHECK(verdict.checks == 4 + 3 + 4);
}

TEST_CASE("what is unsure may be there or not") {
    auto ledger = sound_ledger();
    const int id = GENERATE(10, 11, 12, 13);
    const std::map<int, Record> unsure{
        {10, {true, at(90), {}, {}}},           // never confirmed
        {11, {true, at(90), at(100), {}}},      // confirmed a moment too late
        {12, {true, at(109), at(120), {}}},     // sent during the standstill
        {13, {true, at(10), at(20), at(110)}},  // acknowledged a moment before its end
    };
    const QueueName queue{"/", "outside of the pipeline"};
    ledger[queue].emplace(id, unsure.at(id));
    Messages messages = sound_messages();
    CHECK(judge_with(ledger, messages).exact());
    messages[queue].push_back(id);
    CHECK(judge_with(ledger, messages).exact());
}

TEST_CASE("a lost message is reported") {
    Messages messages = sound_messages();
    messages[second] = {2};
    const Verdict verdict = judge_with(sound_ledger(), messages);
    CHECK(verdict.count(Fault::lost) == 1);
    CHECK(verdict.count(Fault::neither) == 1);
    REQUIRE(verdict.examples.size() == 2);
    CHECK(verdict.examples[0] == "lost: message 3 of second in / (sent -70, confirmed -60 us)");
}

TEST_CASE("a message that was acknowledged after the standstill is not given up") {
    auto ledger = sound_ledger();
    ledger[second].at(4).acknowledged = at(111);
    CHECK(judge_with(ledger, sound_messages()).count(Fault::lost) == 1);
}

TEST_CASE("a message that left the first queue and is not in the second is in neither") {
    auto ledger = sound_ledger();
    // Its way into the second queue was not confirmed, so that it was acknowledged too early.
    ledger[second].at(3).confirmed.reset();
    Messages messages = sound_messages();
    messages[second] = {2};
    const Verdict verdict = judge_with(ledger, messages);
    CHECK(verdict.count(Fault::lost) == 0);
    CHECK(verdict.count(Fault::neither) == 1);
}

TEST_CASE("a queue that is missing has lost its messages") {
    Messages messages = sound_messages();
    messages.erase(first);
    const Verdict verdict = judge_with(sound_ledger(), messages);
    CHECK(verdict.count(Fault::lost) == 2);
    CHECK(verdict.count(Fault::neither) == 1);
}

TEST_CASE("what should not be there is reported") {
    auto ledger = sound_ledger();
    Messages messages = sound_messages();
    Fault expected{};
    SECTION("twice") {
        messages[first].push_back(1);
        expected = Fault::duplicate;
    }
    SECTION("from the future") {
        ledger[first].emplace(5, Record{true, at(111), {}, {}});
        messages[first].push_back(5);
        expected = Fault::future;
    }
    SECTION("though it was taken away long ago") {
        const Time long_ago = at(99) - long_before;
        ledger[first].emplace(5, Record{true, long_ago, long_ago, long_ago});
        messages[first].push_back(5);
        expected = Fault::back;
    }
    SECTION("in a queue it was never published to") {
        messages[second].push_back(1);
        expected = Fault::unknown;
    }
    SECTION("in a queue that nobody knows") {
        messages[{"/", "other"}].push_back(1);
        expected = Fault::unknown;
    }
    SECTION("transient") {
        ledger[first].emplace(5, Record{false, at(1), at(2), {}});
        messages[first].push_back(5);
        expected = Fault::transient;
    }
    SECTION("damaged") {
        std::string body = make_body(1, 1000);
        CHECK(id_of(body) == 1U);
        body[GENERATE(std::size_t{0}, std::size_t{20}, std::size_t{999})] ^= 1;
        messages[first].push_back(id_of(body));
        expected = Fault::damaged;
    }
    const Verdict verdict = judge_with(ledger, messages);
    CHECK(verdict.faults.size() == 1);
    CHECK(verdict.count(expected) == 1);
}

TEST_CASE("a message tells its ID as long as it is whole") {
    for (const std::size_t size : {smallest_body, std::size_t{1001}, largest_body}) {
        const std::string body = make_body(7, size);
        CHECK(body.size() == size);
        CHECK(id_of(body) == 7U);
        CHECK_FALSE(id_of(body.substr(0, size - 1)));
    }
    CHECK_FALSE(id_of(""));
    CHECK(make_body(1, 1000) != make_body(2, 1000));
}

TEST_CASE("the ledger takes its times on the side that claims less") {
    Ledger ledger;
    const Time before = now();
    ledger.sending(first, 1);
    ledger.confirmed(first, 1);
    CHECK(ledger.backlog(first) == 1);
    ledger.sending(first, 2, false);
    ledger.acknowledging(first, 1);
    const Time between = now();
    ledger.deleting(first);
    const Records records = ledger.records().at(first);
    CHECK(records.at(1).sent >= before);
    CHECK(records.at(1).confirmed >= records.at(1).sent);
    // The deletion took only what was still there.
    CHECK(records.at(1).acknowledged <= between);
    CHECK(records.at(2).acknowledged >= between);
    CHECK_FALSE(records.at(2).survives_restart);
    CHECK(ledger.backlog(first) == 0);
    CHECK(ledger.confirms() == 1);
    CHECK(ledger.deletions().at(first) >= between);
}
