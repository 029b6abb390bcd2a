// The proof for clusters: a message that is on its way from one node to another is in the backup.
#include "tests/harness/cluster.hpp"
#include "sidecar/repository/timestamp.hpp"
#include "tests/exactness/examination.hpp"
#include "tests/harness/cli.hpp"

#include <catch2/catch.hpp>

#include <cstdlib>
#include <iostream>

using namespace exactness;
using harness::CliResult;
using harness::Cluster;
using harness::TempDir;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

const int cuts = std::getenv("HOT_BACKUP_SOAK") != nullptr ? 50 : 5;

// Confirms between two cuts, and after a cut so that there is a future.
constexpr std::uint64_t confirms_before = 2000;
constexpr std::uint64_t confirms_after = 300;

std::vector<const harness::Broker*> nodes_of(const Cluster& cluster) {
    std::vector<const harness::Broker*> nodes;
    for (std::size_t number = 0; number < cluster.size(); ++number) {
        nodes.push_back(&cluster.at(number));
    }
    return nodes;
}

CliResult run(const std::vector<std::string>& arguments, const harness::ProcessOptions& options) {
    CliResult result = harness::run_cli(arguments, options, std::chrono::minutes(10));
    INFO(result.output << result.error_output);
    REQUIRE(result.exit_code == 0);
    return result;
}

// Makes a backup while the load runs.
json back_up(const harness::Broker& coordinator, Load& load) {
    load.resume();
    load.run_for(confirms_before);
    const auto created = run({"create", "--node", coordinator.node(), "--cookie-file",
                              coordinator.cookie_file(), "--json"},
                             {.environment = coordinator.client_environment()});
    load.run_for(confirms_after);
    load.pause();
    return created.line("summary");
}

// From the first node's stop to the last one's end: all stood still at a moment in between.
Standstill standstill_of(const json& summary) {
    const auto instant = hot_backup::parse_timestamp(summary.at("instant").get<std::string>());
    REQUIRE(instant);
    std::int64_t began = 0;
    std::int64_t ended = 0;
    for (const auto& part : summary.at("parts")) {
        began = std::min(began, part.at("began_us").get<std::int64_t>());
        ended = std::max(ended, part.at("ended_us").get<std::int64_t>());
    }
    return {*instant + std::chrono::microseconds(began),
            *instant + std::chrono::microseconds(ended)};
}

std::vector<tools::Image> restore(const Cluster& cluster, const std::string& backup,
                                  const fs::path& base) {
    std::vector<tools::Image> images;
    for (const auto* node : nodes_of(cluster)) {
        run({"restore", backup, "--target-dir", base, "--repository", node->repository(), "--json"},
            {});
        images.push_back({base, node->node()});
    }
    return images;
}

void print(int cut, const json& summary, const Examination& examination) {
    const auto& stop = summary.at("stop");
    std::cout << "cut " << cut << ": " << examination.summary() << "; pause "
              << stop.at("pause_us").get<double>() / 1000 << " ms, overlap "
              << stop.at("overlap_us").get<double>() / 1000 << " ms, " << stop.at("attempts")
              << " attempts, proof " << stop.at("proof") << std::endl;
}

}  // namespace

TEST_CASE("backups of a cluster under load hold what was confirmed, on whatever node it was") {
    const Cluster cluster(3, small_files());
    Load load(nodes_of(cluster), {.bytes_per_second = 5e5});
    for (int cut = 1; cut <= cuts; ++cut) {
        const auto moved = load.moved_leaders();
        const auto& coordinator = cluster.at(static_cast<std::size_t>(cut) % cluster.size());
        const json summary = back_up(coordinator, load);
        const TempDir scratch;
        const auto images = restore(cluster, summary.at("backup"), scratch.path());
        const Examination examination = examine(images, load, standstill_of(summary));
        print(cut, summary, examination);
        INFO(examination.problems());
        REQUIRE(examination.boot_failure.empty());
        CHECK(examination.exact());
        // Or nothing would be proven.
        CHECK(examination.verdict.checks > 1000);
        CHECK(examination.raft.entries_in_wal > 0);
        CHECK(load.moved_leaders() > moved);
    }
}

// As many single backups, one after the other: each is exact, and together they are not.
TEST_CASE("backups of the nodes at different times are found out") {
    const Cluster cluster(3, small_files());
    Load load(nodes_of(cluster), {.bytes_per_second = 5e5, .metadata = false});
    bool found_out = false;
    for (int attempt = 0; attempt < 10 && !found_out; ++attempt) {
        const TempDir scratch;
        std::vector<tools::Image> images;
        load.resume();
        load.run_for(confirms_before);
        const Time begin = now();
        for (const auto* node : nodes_of(cluster)) {
            run({"create", "--this-node", "--node", node->node(), "--cookie-file",
                 node->cookie_file(), "--repository", node->repository(), "--json"},
                {.environment = node->client_environment()});
            load.run_for(confirms_after);
        }
        const Time end = now();
        load.pause();
        for (const auto* node : nodes_of(cluster)) {
            run({"restore", "latest", "--target-dir", scratch.path() / node->node(), "--repository",
                 node->repository(), "--json"},
                {});
            images.push_back({scratch.path(), node->node()});
        }
        const Examination examination = examine(images, load, {begin, end});
        std::cout << "one after the other: " << examination.summary() << std::endl;
        found_out = examination.verdict.count(Fault::neither) > 0 ||
                    examination.verdict.count(Fault::lost) > 0;
    }
    CHECK(found_out);
}
