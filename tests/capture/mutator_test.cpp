// A live copy, made exact by one cut, is what the stopped tree was: shown without a broker, by a
// program that does to its files all that RabbitMQ does, for thousands of rounds.
//
// HOT_BACKUP_MUTATOR_SEED=N repeats a play, HOT_BACKUP_SOAK=1 plays for longer.
#include "tests/capture/campaign.hpp"
#include "tests/capture/user_namespace.hpp"
#include "tests/repository/sample.hpp"

#include "sidecar/capture/file_rules.hpp"
#include "sidecar/repository/backup_writer.hpp"
#include "sidecar/repository/file_reader.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <iostream>
#include <map>

using namespace hot_backup;
using namespace capture_test;
using Outcome = Cut::Outcome;

namespace {

constexpr std::uint64_t rounds_of_a_tree = 50;

// A new tree now and then: what an older one has become may be what never happens to a young one.
Tally play_all(Plan plan, std::uint64_t rounds) {
    Tally sum;
    std::uint64_t seed = first_seed();
    const bool has_memory = std::filesystem::exists("/dev/shm");
    const auto parent = plan.parent;
    while (sum.rounds < rounds) {
        // tmpfs gives other inode numbers and times than a disk.
        plan.parent = has_memory && seed % 2 == 1 ? "/dev/shm" : parent;
        plan.rounds = std::min(rounds_of_a_tree, rounds - sum.rounds);
        sum += play(plan, seed++);
    }
    return sum;
}

// Stores in a real repository, and reads what it published.
class InRepository : public Destination {
public:
    StoreBlock store_block() override {
        return [this](std::string_view bytes) { return writer_.store(bytes); };
    }
    Image image(std::vector<FileEntry> entries) override {
        for (FileEntry& entry : entries) {
            writer_.add_entry(std::move(entry));
        }
        writer_.publish(repository_test::sample_summary());
        std::vector<FileEntry> published;
        ManifestReader manifest = repository_.read_manifest(writer_.id());
        while (auto entry = manifest.next_file()) {
            published.push_back(std::move(*entry));
        }
        return image_of(published, [this](const FileEntry& entry) {
            std::string content;
            FileReader reader(repository_, entry, writer_.id());
            while (const auto bytes = reader.next()) {
                content += *bytes;
            }
            return content;
        });
    }

private:
    harness::TempDir directory_;
    Repository repository_ =
        Repository::open_or_create(posix_file_system(), directory_ / "repository");
    Lock lock_{repository_.file_system(), repository_.directory(), "create"};
    BackupWriter writer_{repository_, lock_};
};

// What `after` would be with the first bytes of such files as they were `before`.
Image with_stale_front(const Image& before, Image after, CopyRule rule, std::size_t front) {
    for (auto& [path, entry] : after) {
        const auto earlier = before.find(path);
        if (entry.kind == "data" && rule_for(path) == rule && earlier != before.end()) {
            const std::size_t size =
                std::min({front, entry.content.size(), earlier->second.content.size()});
            entry.content.replace(0, size, earlier->second.content, 0, size);
        }
    }
    return after;
}

}  // namespace

TEST_CASE("a difference is found, whatever differs") {
    const harness::TempDir directory;
    MutatorProcess mutator(directory.path(), first_seed(), 10);
    mutator.set_pause(0);
    mutator.wait_for_mutations(3000);
    mutator.stop();
    const Image tree = read_tree({{"data", mutator.place() / "data"}}, {});
    REQUIRE(difference(tree, tree) == "");
    for (const auto& [path, entry] : tree) {
        INFO(path);
        const auto differs = [&, &name = path](const std::function<void(ImageEntry&)>& change) {
            Image copy = tree;
            change(copy.at(name));
            return difference(tree, copy).starts_with(name + ": ");
        };
        if (!entry.content.empty()) {
            CHECK(differs([](ImageEntry& changed) { changed.content.back() ^= 1; }));
            CHECK(differs([](ImageEntry& changed) { changed.content.pop_back(); }));
        }
        CHECK(differs([](ImageEntry& changed) { changed.kind = "other"; }));
        CHECK(differs([](ImageEntry& changed) { changed.mode ^= 1; }));
        CHECK(differs([](ImageEntry& changed) { ++changed.mtime; }));
        Image copy = tree;
        copy.erase(path);
        CHECK(difference(tree, copy).starts_with(path + ": is missing"));
        CHECK(difference(copy, tree).starts_with(path + ": is not there"));
    }
}

// What the mutator does is worth nothing where a copy by the wrong rule would pass as well.
TEST_CASE("a copy that takes files that change in place for ones that grow is found to differ") {
    constexpr std::size_t whole = std::string::npos;
    const harness::TempDir directory;
    MutatorProcess mutator(directory.path(), first_seed(), 10);
    mutator.set_pause(0);
    mutator.wait_for_mutations(1000);
    std::map<std::string, int> found;
    for (int round = 0; round < 20; ++round) {
        const std::vector<CaptureRoot> roots{{"data", mutator.place() / "data"}};
        mutator.stop();
        const Image before = read_tree(roots, {});
        mutator.resume();
        mutator.wait_for_mutations(300);
        mutator.stop();
        const Image after = read_tree(roots, {});
        mutator.resume();
        const auto differs = [&](CopyRule rule, std::size_t front) {
            return difference(after, with_stale_front(before, after, rule, front)) != "" ? 1 : 0;
        };
        found["message store"] += differs(CopyRule::message_store, whole);
        found["index of a Raft segment"] += differs(CopyRule::raft_segment, 8 + 16 * 32);
        found["in place"] += differs(CopyRule::in_place, whole);
    }
    for (const auto& [rule, rounds] : found) {
        INFO(rule);
        CHECK(rounds > 0);
    }
}

TEST_CASE("an image is what the stopped tree was") {
    const Tally tally = play_all({}, rounds_here(1600));
    std::cout << to_text(tally);
    CHECK(tally.outcome(Outcome::over_budget) > 0);
    CHECK(tally.outcome(Outcome::late) > 0);
    CHECK(tally.forgotten > 0);
    CHECK(tally.memory_bytes > 0);
    CHECK(tally.tail_bytes > 0);
    // With a sanitizer there are too few rounds for what is rare.
    const bool complete = tally.rounds >= 1000;
    CHECK((!complete || tally.outcome(Outcome::combine_in_flight) > 0));
    for (std::size_t index = 0; complete && index < mutator::behaviour_count; ++index) {
        INFO(behaviour_name(static_cast<mutator::Behaviour>(index)));
        CHECK(tally.in_passes.at(index) > 0);
        CHECK(tally.before_cut.at(index) > 0);
    }
}

TEST_CASE("an image is exact when the queue of events ran over") {
    const Tally tally = play_all({.overflow = true}, rounds_here(80));
    CHECK(tally.outcome(Outcome::events_lost) > 0);
}

TEST_CASE("an image is exact without inotify") {
    play_all({.inotify = false}, rounds_here(200));
}

TEST_CASE("an image is exact where only some directories get a watch") {
    for (const auto& [limit, value] : std::map<std::string, int>{{"max_inotify_watches", 0},
                                                                 {"max_inotify_watches", 25},
                                                                 {"max_inotify_instances", 0}}) {
        const auto failure = in_user_namespace(
            limit, value, [] { play_all({.expect_unwatched = true}, rounds_here(40)); });
        if (!failure) {
            WARN("skipped: no user namespace whose " << limit << " can be set");
        } else {
            INFO(limit << " is " << value);
            CHECK(*failure == "");
        }
    }
}

TEST_CASE("an image of thousands of files is exact") {
    play_all({.tiny_files = 5000}, rounds_here(16));
}

TEST_CASE("an image in a repository is exact") {
    play_all({.destination = [] { return std::make_unique<InRepository>(); }}, rounds_here(24));
}
