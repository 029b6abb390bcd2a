// What a cluster does by schedule: one backup of all nodes, whichever of them it is that makes it.
#include "tests/harness/cluster.hpp"
#include "tests/harness/cli.hpp"
#include "tests/harness/temp_dir.hpp"
#include "tests/harness/wait.hpp"
#include "tests/schedule/runs.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <ctime>

using namespace harness;
using namespace schedule_tests;
using namespace std::chrono_literals;

namespace {

constexpr std::time_t minute = 60;

std::string minutes(std::time_t first, std::time_t second) {
    return std::to_string(first / minute % 60) + "," + std::to_string(second / minute % 60);
}

void wait_until(std::time_t moment) {
    wait_for("a time at which a backup is due", 180s, [&] { return std::time(nullptr) > moment; });
}

bool is_verified(const nlohmann::json& backup) {
    return backup["verified"].is_object() && backup["verified"]["outcome"] == "intact";
}

std::vector<std::string> ids(const Broker& node) {
    std::vector<std::string> found;
    for (const auto& backup : backups(node.repository())) {
        CHECK(backup["kind"] == "cluster");
        found.push_back(backup["backup"]);
    }
    return found;
}

// That both nodes have these many backups, the same ones, and have verified the newest.
void expect_backups(const Cluster& cluster, std::size_t count) {
    for (std::size_t number = 0; number < cluster.size(); ++number) {
        const Broker& node = cluster.at(number);
        std::vector<nlohmann::json> listed;
        const auto are_there = [&] {
            listed = backups(node.repository());
            return listed.size() == count && is_verified(listed.back()) && is_idle(node);
        };
        try {
            wait_for(std::to_string(count) + " backups at " + node.node(), 120s, are_there);
        } catch (const std::exception& error) {
            FAIL(error.what() << ", there are " << nlohmann::json(listed) << "\n"
                              << cluster.at(0).log() << cluster.at(1).log());
        }
        CHECK(ids(node) == ids(cluster.at(0)));
    }
}

int count(const std::string& text, const std::string& part) {
    int found = 0;
    for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
        ++found;
    }
    return found;
}

}  // namespace

TEST_CASE("a cluster has one backup by schedule, verified and kept on every node") {
    // The cluster is there before the first, and its backup before the second.
    const auto first = (std::time(nullptr) / minute + 2) * minute;
    const auto second = first + 2 * minute;
    Cluster cluster(2, {.configuration = "hot_backup.time_zone = utc\nhot_backup.schedule = " +
                                         minutes(first, second) +
                                         " * * * *\nhot_backup.retention.keep_last = 2\n"});
    REQUIRE(std::time(nullptr) < first);
    auto& conducts = cluster.at(cluster.at(0).node() < cluster.at(1).node() ? 0 : 1);
    auto& follows = cluster.at(cluster.at(0).node() < cluster.at(1).node() ? 1 : 0);

    wait_until(first);
    expect_backups(cluster, 1);
    CHECK(backups(follows.repository())[0]["coordinator"] == conducts.node());
    wait_for("the other node to leave it to the first", 20s,
             [&] { return count(follows.log(), "is due: " + conducts.node() + " makes it") == 1; });

    // Down when the next is due, and all started together.
    cluster.kill9();
    REQUIRE(std::time(nullptr) < second);
    wait_until(second);
    for (auto* node : {&conducts, &follows}) {
        node->start();
    }
    for (auto* node : {&conducts, &follows}) {
        node->await();
    }
    cluster.wait_until_whole();
    expect_backups(cluster, 2);

    // The retention is that of each node.
    CHECK(run_now(follows) == "done");
    expect_backups(cluster, 2);
    CHECK(backups(follows.repository())[1]["coordinator"] == follows.node());

    // Nothing goes anywhere while a part is not known to be intact.
    const TempDir files;
    damage_what_is_verified(follows, files / "program");
    CHECK(run_now(conducts) == "failed");
    expect_last_failure(conducts, "the part of " + follows.node());
    CHECK(ids(conducts).size() == 3);
    set(follows, "executable", "\"" + cli_path().string() + "\"");

    // What a node has no room for is no backup.
    set(follows, "min_free_space", "1 bsl 60");
    CHECK(run_now(conducts) == "failed");
    expect_last_failure(conducts, "min_free_space");
    expect_last_failure(conducts, follows.node());
    set(follows, "min_free_space", "0");

    const auto listed = ids(conducts);
    follows.kill9();
    CHECK(run_now(conducts) == "failed");
    expect_last_failure(conducts, follows.node() + " does not run");
    CHECK(ids(conducts) == listed);
    set(conducts, "schedule_allow_missing", "true");
    CHECK(run_now(conducts) == "done");
    CHECK(backups(conducts.repository()).back()["missing"][0]["node"] == follows.node());
    set(conducts, "schedule_scope", "node");
    CHECK(run_now(conducts) == "done");
    CHECK(backups(conducts.repository()).back()["kind"] == "full");
}
