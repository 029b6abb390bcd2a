// The proof: backups of one broker under load, each of them booted and compared with what the
// clients know.
#include "sidecar/repository/repository.hpp"
#include "tests/exactness/examination.hpp"
#include "tests/harness/cli.hpp"
#include "tests/integration/broker_definitions.hpp"

#include <catch2/catch.hpp>

#include <cstdlib>
#include <iomanip>
#include <iostream>

using namespace exactness;
using harness::CliResult;
using harness::TempDir;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

const int cuts = std::getenv("HOT_BACKUP_SOAK") != nullptr ? 50 : 5;

// Confirms between two cuts, and after a cut so that there is a future.
constexpr std::uint64_t confirms_before = 5000;
constexpr std::uint64_t confirms_after = 500;

json definitions_of(const fs::path& repository, const std::string& backup) {
    const CliResult printed = harness::run_cli({"definitions", backup, "--repository", repository});
    INFO(printed.error_output);
    REQUIRE(printed.exit_code == 0);
    return json::parse(printed.output);
}

// Makes a backup while the load runs, and returns its ID.
std::string back_up(const harness::Broker& broker, const fs::path& repository, Load& load) {
    load.resume();
    load.run_for(confirms_before);
    const CliResult created = harness::create_backup(broker, repository);
    INFO(created.output << created.error_output);
    REQUIRE(created.exit_code == 0);
    load.run_for(confirms_after);
    load.pause();
    return created.line("summary").at("backup");
}

// As an operator does it.
tools::Image restore(const fs::path& repository, const std::string& backup, const std::string& node,
                     const fs::path& base) {
    const tools::Image image{base, node};
    const CliResult restored =
        harness::run_cli({"restore", backup, "--target-dir", image.data_directory(), "--repository",
                          repository, "--json"});
    INFO(restored.output << restored.error_output);
    REQUIRE(restored.exit_code == 0);
    return image;
}

Standstill standstill_of(const hot_backup::Summary& summary) {
    REQUIRE(summary.cut);
    // The instant lies within the pause.
    return {summary.instant, summary.instant + std::chrono::microseconds(summary.cut->pause_us)};
}

void print(int cut, const hot_backup::Summary& summary, const Examination& examination) {
    std::cout << "cut " << cut << ": " << examination.summary() << "; pause " << std::fixed
              << std::setprecision(1) << static_cast<double>(summary.cut->pause_us) / 1000
              << " ms, " << summary.cut->attempts << " attempts, " << summary.cut->passes
              << " passes, " << summary.cut->memory_bytes / 1000 << " + "
              << summary.cut->tail_bytes / 1000 << " of " << summary.bytes / 1000 << " kB"
              << std::endl;
}

// The highest number among the files of a directory with this ending ("17.rdq" is 17): how often
// the node went on to the next one.
std::uint64_t highest(const fs::path& directory, const std::string& ending) {
    std::uint64_t number = 0;
    for (const auto& entry : fs::recursive_directory_iterator(directory)) {
        if (entry.path().extension() == ending) {
            number = std::max<std::uint64_t>(number, std::stoull(entry.path().stem()));
        }
    }
    return number;
}

}  // namespace

TEST_CASE("backups under load hold what was confirmed, and nothing else") {
    const harness::Broker broker(small_files());
    Load load(broker);
    const TempDir files;
    const fs::path directory = files / "repository";
    for (int cut = 1; cut <= cuts; ++cut) {
        const Time before = now();
        const std::string backup = back_up(broker, directory, load);
        const auto repository =
            hot_backup::Repository::open(hot_backup::posix_file_system(), directory);
        const hot_backup::Summary summary = repository.read_manifest(backup).summary();
        const Standstill standstill = standstill_of(summary);
        CHECK(standstill.begin > before);
        CHECK(standstill.end < now());

        const TempDir scratch;
        const tools::Image image = restore(directory, backup, summary.node, scratch.path());
        const std::uint64_t wals = highest(image.data_directory() / "quorum", ".wal");
        const std::uint64_t rdqs = highest(image.data_directory() / "msg_stores", ".rdq");
        const Examination examination = examine(image, broker, load, standstill);
        print(cut, summary, examination);
        INFO(examination.problems());
        REQUIRE(examination.boot_failure.empty());
        CHECK(examination.exact());
        const auto settled = [&](const json& definitions) {
            return without_deleted_queues(definitions, load.ledger(), standstill);
        };
        integration::check_same_definitions(settled(definitions_of(directory, backup)),
                                            settled(examination.definitions));
        // Or nothing would be proven.
        CHECK(examination.verdict.checks > 2000);
        CHECK(examination.raft.entries_in_wal > 0);
        CHECK(examination.raft.entries_in_segments > 100);
        if (harness::has_streams()) {
            CHECK(examination.streams.segments > 1);
            CHECK(examination.streams.records > 100);
        }
        CHECK(wals > 3U * static_cast<unsigned>(cut));
        CHECK(rdqs > 20U * static_cast<unsigned>(cut));
        CHECK(harness::run_cli({"delete", backup, "--repository", directory}).exit_code == 0);
    }
}
