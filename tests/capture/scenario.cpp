#include "tests/capture/scenario.hpp"

#include "tests/harness/temp_dir.hpp"

#include <array>
#include <optional>
#include <stdexcept>

namespace capture_test {

using namespace hot_backup;

namespace {

constexpr int cuts_limit = 10;
constexpr std::chrono::seconds patience{30};

void quiet(const PassProgress&) {}

// Small blocks, stored one after the other: so that a change can come between any two of them.
CopyOptions options_of(const Circumstances& circumstances) {
    CopyOptions options;
    options.threads = 1;
    options.block_size = 4096;
    options.memory_budget = std::uint64_t{2} << 20;
    options.niceness = 0;
    options.use_inotify = circumstances.inotify;
    return options;
}

class Stage {
public:
    Stage(const Scenario& scenario, const Circumstances& circumstances)
        : scenario_(scenario), circumstances_(circumstances) {
        std::filesystem::create_directories(data_);
        std::filesystem::create_directories(directory_ / "outside");
        scenario_.prepare(data_);
    }

    Play play() {
        LiveCopy copy(
            roots_, {}, [this](std::string_view bytes) { return store(bytes); },
            options_of(circumstances_));
        change_at(Moment::before_first_pass);
        counted_ = Moment::within_pass;
        copy.pass(quiet);
        change_at(Moment::before_last_pass);
        counted_.reset();
        copy.pass(quiet);
        change_at(Moment::before_cut);
        capture(copy);
        const Image expected = read_tree(roots_, {});
        change_at(Moment::after_cut);
        counted_ = Moment::within_finish;
        copy.finish(quiet);
        return {difference(expected, image_of(copy.take_entries(), reader_of(store_))), changed_};
    }

private:
    void change_at(Moment moment) {
        if (circumstances_.moment == moment) {
            scenario_.change(data_);
            changed_ = true;
        }
    }

    Extent store(std::string_view bytes) {
        if (counted_ == circumstances_.moment && blocks_++ == circumstances_.block) {
            change_at(*counted_);
        }
        return store_.store(bytes);
    }

    void capture(LiveCopy& copy) {
        for (int cuts = 0; cuts < cuts_limit; ++cuts) {
            const Cut cut = copy.cut(LiveCopy::Clock::now() + patience);
            if (cut.outcome == Cut::Outcome::captured) {
                return;
            }
            copy.pass(quiet);
        }
        throw std::runtime_error("no cut came about");
    }

    const Scenario& scenario_;
    const Circumstances& circumstances_;
    harness::TempDir directory_;
    Path data_ = directory_ / "data";
    std::vector<CaptureRoot> roots_{{"data", data_}};
    MemoryStore store_;
    // What the blocks that are stored now belong to, if a change may come among them.
    std::optional<Moment> counted_;
    std::uint64_t blocks_ = 0;
    bool changed_ = false;
};

}  // namespace

Play play(const Scenario& scenario, const Circumstances& circumstances) {
    return Stage(scenario, circumstances).play();
}

std::string to_text(const Circumstances& circumstances) {
    constexpr std::array names{"before the first pass", "before the last pass", "before the cut",
                               "within a pass",         "after the cut",        "within finish"};
    return std::string(names.at(static_cast<std::size_t>(circumstances.moment))) + ", block " +
           std::to_string(circumstances.block) +
           (circumstances.inotify ? ", with inotify" : ", without inotify");
}

}  // namespace capture_test
