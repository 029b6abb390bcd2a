// Hostile bytes: a great many damaged copies of good messages. Whatever they are, the checker
// refuses them or they decode to a term that encodes and decodes to itself; the sanitizers watch
// for everything else.
#include "erlang_port/error.hpp"
#include "erlang_port/external_term.hpp"
#include "tests/erlang_port/recorded.hpp"

#include <catch2/catch.hpp>

#include <random>

using namespace erlang;

namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr int rounds = 100'000;
#else
constexpr int rounds = 1'000'000;
#endif

class Mutator {
public:
    // Damages `bytes` in one to four places.
    void damage(std::string& bytes) {
        for (auto changes = pick(4) + 1; changes > 0 && !bytes.empty(); --changes) {
            const auto at = pick(bytes.size());
            switch (pick(6)) {
                case 0:
                    bytes[at] = static_cast<char>(pick(256));
                    break;
                case 1:
                    bytes[at] = static_cast<char>(bytes[at] ^ (1 << pick(8)));
                    break;
                case 2:
                    // Most interesting are tags and lengths.
                    bytes[at] = "\x00\xff\x01\x7f\x80MXYZabcdefghijklmnopqrstvwxF"[pick(30)];
                    break;
                case 3:
                    bytes.erase(at, pick(8) + 1);
                    break;
                case 4:
                    bytes.insert(at, bytes.substr(pick(bytes.size()), pick(16)));
                    break;
                default:
                    bytes.resize(at);
            }
        }
    }

    std::size_t pick(std::size_t bound) { return random_() % bound; }

private:
    std::mt19937 random_{20'261'122};  // a fixed seed: a failure can be had again
};

// What the engine stores: lists of records, as a checkpoint gives them.
std::string snapshot_chunk() {
    std::vector<Term> records;
    for (const auto& example : recorded::load(recorded::terms_file())) {
        records.push_back(decode_message(example.bytes));
    }
    std::string bytes;
    encode_message(list(std::move(records)), bytes);
    return bytes;
}

// Whether the message was taken; throws Catch's failure when it does not survive a round trip.
bool survives(std::string_view message) {
    Term term;
    try {
        term = decode_message(message);
    } catch (const hot_backup::Error&) {
        return false;
    }
    std::string again;
    encode_message(term, again);
    if (!(decode_message(again) == term)) {
        INFO(recorded::to_hex(message));
        FAIL("the round trip changed " << to_string(term));
    }
    return true;
}

void read_items(std::string_view message) {
    try {
        for (ListReader items(message); auto item = items.next();) {
            decode_item(*item);
        }
    } catch (const hot_backup::Error&) {
    }
}

}  // namespace

TEST_CASE("damaged messages are refused or harmless") {
    std::vector<std::string> good{snapshot_chunk()};
    for (const auto& file : {recorded::terms_file(), recorded::messages_file()}) {
        for (const auto& example : recorded::load(file)) {
            good.push_back(example.bytes);
        }
    }
    Mutator mutator;
    int taken = 0;
    for (int round = 0; round < rounds; ++round) {
        auto bytes = good[mutator.pick(good.size())];
        mutator.damage(bytes);
        // An allocation of exactly this size, so that a look beyond the end is seen.
        const std::vector<char> exact(bytes.begin(), bytes.end());
        taken += survives({exact.data(), exact.size()});
        read_items({exact.data(), exact.size()});
    }
    // Both outcomes happen, or the test would prove nothing.
    CHECK(taken > rounds / 100);
    CHECK(taken < rounds * 9 / 10);
    INFO("of " << rounds << " taken " << taken);
}
