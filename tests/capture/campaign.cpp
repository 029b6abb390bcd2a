#include "tests/capture/campaign.hpp"

#include "tests/capture/flood.hpp"
#include "tests/capture/mutator/disk.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <future>
#include <random>
#include <stdexcept>
#include <thread>

namespace capture_test {

using namespace hot_backup;

namespace {

using Outcome = Cut::Outcome;

constexpr std::uint64_t attempts_limit = 400;
// Longer than the time within which a file without a watch counts as changed.
constexpr std::chrono::milliseconds no_longer_racy{300};

class InMemory : public Destination {
public:
    StoreBlock store_block() override { return store_.store_block(); }
    Image image(std::vector<FileEntry> entries) override {
        return image_of(entries, reader_of(store_));
    }

private:
    MemoryStore store_;
};

void add(mutator::BehaviourCounts& sum, const mutator::BehaviourCounts& from,
         const mutator::BehaviourCounts& to) {
    for (std::size_t index = 0; index < sum.size(); ++index) {
        sum.at(index) += to.at(index) - from.at(index);
    }
}

class Campaign {
public:
    Campaign(const Plan& plan, std::uint64_t seed)
        : plan_(plan),
          random_(seed ^ 0x5eedU),
          mutator_(parent_.path(), seed, plan.tiny_files),
          roots_{{"data", mutator_.place() / "data"},
                 {"stream", mutator_.place() / "stream"},
                 {"quorum", mutator_.place() / "nowhere"}},
          files_{{"feature_flags", mutator_.place() / "feature_flags"},
                 {"absent", mutator_.place() / "absent"}} {}

    void play_round();
    const Tally& tally() const noexcept { return tally_; }

private:
    // The harness makes its directories in the system's temporary one; some play elsewhere.
    class Parent {
    public:
        explicit Parent(const std::filesystem::path& parent);
        Parent(const Parent&) = delete;
        Parent& operator=(const Parent&) = delete;
        ~Parent() { std::filesystem::remove_all(path_); }
        const std::filesystem::path& path() const noexcept { return path_; }

    private:
        std::filesystem::path path_;
    };

    CopyOptions choose_options();
    void choose_pace();
    void mutate(std::uint64_t most);
    void rest();
    void pass(LiveCopy& copy);
    // Returns with the mutator stopped, and the cut captured.
    void capture(LiveCopy& copy);
    LiveCopy::Clock::time_point choose_deadline();
    void after_refusal(LiveCopy& copy, const Cut& cut, std::uint64_t attempt);

    const Plan& plan_;
    mutator::Random random_;
    Parent parent_{plan_.parent};
    MutatorProcess mutator_;
    std::vector<CaptureRoot> roots_;
    std::vector<CaptureRoot> files_;
    Tally tally_;
    std::uint32_t pause_ = 0;
    mutator::BehaviourCounts pass_ended_{};
    std::future<void> closing_;  // of the round before
};

Campaign::Parent::Parent(const std::filesystem::path& parent) {
    std::string name = (parent / "hot-backup-mutator-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) {
        throw std::runtime_error("cannot make a directory at " + name);
    }
    path_ = name;
}

CopyOptions Campaign::choose_options() {
    constexpr std::size_t block_sizes[] = {4096, std::size_t{64} << 10, std::size_t{4} << 20};
    CopyOptions options;
    options.threads = random_.one_in(2) ? 1 : 4;
    options.block_size = block_sizes[random_.below(std::size(block_sizes))];
    options.niceness = 0;
    options.use_inotify = plan_.inotify;
    // Without watches nothing but time makes the rest small.
    if (plan_.inotify && !plan_.expect_unwatched && random_.one_in(6)) {
        options.memory_budget = 30000;
        options.file_budget = 15;
    }
    return options;
}

void Campaign::choose_pace() {
    constexpr std::uint32_t paces[] = {0, 10, 10, 100, 200, 1000, mutator::idle};
    pause_ = paces[random_.below(std::size(paces))];
    mutator_.set_pause(pause_);
}

void Campaign::mutate(std::uint64_t most) {
    if (pause_ != mutator::idle) {
        mutator_.wait_for_mutations(random_.below(most / (1 + pause_ / 100) + 1));
    }
}

// Nothing changes for a while.
void Campaign::rest() {
    mutator_.set_pause(mutator::idle);
    std::this_thread::sleep_for(no_longer_racy);
}

void Campaign::pass(LiveCopy& copy) {
    const mutator::BehaviourCounts before = mutator_.counts();
    copy.pass([](const PassProgress&) {});
    pass_ended_ = mutator_.counts();
    add(tally_.in_passes, before, pass_ended_);
}

LiveCopy::Clock::time_point Campaign::choose_deadline() {
    const auto now = LiveCopy::Clock::now();
    return random_.one_in(20) ? now - std::chrono::milliseconds(1) : now + std::chrono::minutes(1);
}

void Campaign::after_refusal(LiveCopy& copy, const Cut& cut, std::uint64_t attempt) {
    if (cut.reason.empty()) {
        throw std::runtime_error("a cut was refused without a reason");
    }
    if (cut.outcome == Outcome::combine_in_flight) {
        // A pace of rest would leave the store as it is.
        mutator_.set_pause(pause_ == mutator::idle ? 100 : pause_);
        // More each time: on a busy machine the thread that combines may be the last to run again.
        mutator_.wait_for_mutations(random_.between(1, 20) * (attempt + 1));
        mutator_.set_pause(pause_);
    } else {
        // Like a node that backs off: slower, then not at all.
        pause_ = pause_ < 1000 ? 1000 : mutator::idle;
        mutator_.set_pause(pause_);
        pass(copy);
    }
}

void Campaign::capture(LiveCopy& copy) {
    std::string reason;
    for (std::uint64_t attempt = 0; attempt < attempts_limit; ++attempt) {
        mutator_.stop();
        const mutator::BehaviourCounts stopped = mutator_.counts();
        const Cut cut = copy.cut(choose_deadline());
        ++tally_.outcomes.at(static_cast<std::size_t>(cut.outcome));
        if (cut.outcome == Outcome::captured) {
            add(tally_.before_cut, pass_ended_, stopped);
            tally_.files_in_cuts += cut.files;
            tally_.memory_bytes += cut.memory_bytes;
            tally_.tail_bytes += cut.tail_bytes;
            return;
        }
        reason = cut.reason;
        mutator_.resume();
        after_refusal(copy, cut, attempt);
    }
    throw std::runtime_error("no cut came about: " + reason);
}

void Campaign::play_round() {
    mutator_.resume();
    choose_pace();
    const std::shared_ptr<Destination> destination = plan_.destination();
    auto made =
        std::make_unique<LiveCopy>(roots_, files_, destination->store_block(), choose_options());
    LiveCopy& copy = *made;
    if (plan_.expect_unwatched && copy.unwatched_directories() == 0) {
        throw std::runtime_error("every directory has a watch");
    }
    for (std::uint64_t passes = random_.between(1, 3); passes > 0; --passes) {
        pass(copy);
        mutate(80);
        if (random_.one_in(4)) {
            copy.watch();
        }
    }
    if ((!plan_.inotify || plan_.expect_unwatched) && random_.one_in(8)) {
        rest();
        pass(copy);
        choose_pace();
    }
    if (plan_.overflow) {
        flood_events(mutator_.place() / "data" / "oddities");
        mutate(400);
        if (random_.one_in(3)) {
            pass(copy);
        }
    }
    mutate(250);
    capture(copy);
    if (random_.one_in(8)) {
        mutator_.resume();
        copy.forget_cut();
        ++tally_.forgotten;
        mutate(60);
        if (random_.one_in(2)) {
            pass(copy);
            mutate(60);
        }
        capture(copy);
    }
    const Image expected = read_tree(roots_, files_);
    mutator_.resume();
    mutate(100);
    copy.finish([](const PassProgress&) {});
    const std::string differences = difference(expected, destination->image(copy.take_entries()));
    if (!differences.empty()) {
        throw std::runtime_error("the image differs:\n" + differences);
    }
    ++tally_.rounds;
    // The kernel takes longer to let the watches go than a round takes.
    closing_ = std::async(std::launch::async,
                          [destination, made = std::move(made)]() mutable { made.reset(); });
}

}  // namespace

std::unique_ptr<Destination> in_memory() {
    return std::make_unique<InMemory>();
}

Tally& Tally::operator+=(const Tally& other) {
    rounds += other.rounds;
    forgotten += other.forgotten;
    files_in_cuts += other.files_in_cuts;
    memory_bytes += other.memory_bytes;
    tail_bytes += other.tail_bytes;
    for (std::size_t index = 0; index < outcomes.size(); ++index) {
        outcomes.at(index) += other.outcomes.at(index);
    }
    add(in_passes, {}, other.in_passes);
    add(before_cut, {}, other.before_cut);
    return *this;
}

Tally play(const Plan& plan, std::uint64_t seed) {
    Campaign campaign(plan, seed);
    for (std::uint64_t round = 0; round < plan.rounds; ++round) {
        try {
            campaign.play_round();
        } catch (const std::exception& error) {
            throw std::runtime_error("round " + std::to_string(round) +
                                     " of HOT_BACKUP_MUTATOR_SEED=" + std::to_string(seed) + ": " +
                                     error.what());
        }
    }
    return campaign.tally();
}

std::uint64_t first_seed() {
    if (const char* seed = std::getenv("HOT_BACKUP_MUTATOR_SEED")) {
        return std::strtoull(seed, nullptr, 10);
    }
    return std::random_device{}();
}

std::uint64_t rounds_here(std::uint64_t number) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    constexpr std::uint64_t divisor = 8;
#else
    constexpr std::uint64_t divisor = 1;
#endif
    const std::uint64_t factor = std::getenv("HOT_BACKUP_SOAK") == nullptr ? 1 : 12;
    return std::max<std::uint64_t>(1, number * factor / divisor);
}

std::string to_text(const Tally& tally) {
    std::string text =
        std::to_string(tally.rounds) +
        " rounds; cuts: " + std::to_string(tally.outcome(Outcome::captured)) + " captured (" +
        std::to_string(tally.forgotten) + " forgotten), " +
        std::to_string(tally.outcome(Outcome::combine_in_flight)) + " with a combine in flight, " +
        std::to_string(tally.outcome(Outcome::over_budget)) + " over budget, " +
        std::to_string(tally.outcome(Outcome::events_lost)) + " events lost, " +
        std::to_string(tally.outcome(Outcome::late)) + " late; " +
        std::to_string(tally.files_in_cuts) + " files, " + std::to_string(tally.memory_bytes) +
        " bytes in memory, " + std::to_string(tally.tail_bytes) + " in tails\n";
    for (std::size_t index = 0; index < tally.in_passes.size(); ++index) {
        text += "  " + std::string(behaviour_name(static_cast<mutator::Behaviour>(index))) + ": " +
                std::to_string(tally.in_passes.at(index)) + " in passes, " +
                std::to_string(tally.before_cut.at(index)) + " before a cut\n";
    }
    return text;
}

}  // namespace capture_test
