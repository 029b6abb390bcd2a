// The commands on backups of a cluster. The backups are made by hand; those of real nodes are in
// tests/integration.
#include "sidecar/repository/marks.hpp"
#include "tests/cli/samples.hpp"
#include "tests/harness/cli.hpp"
#include "tests/harness/process.hpp"
#include "tests/harness/temp_dir.hpp"

#include <catch2/catch.hpp>

using namespace hot_backup;
using namespace cli_test;
using Catch::Contains;
using harness::run_cli;

namespace {

const std::string cid = "20261122T073241.512Z";

// Two nodes that share a repository, and one that has its own.
struct Cluster {
    harness::TempDir files;
    std::filesystem::path shared = files / "shared";
    std::filesystem::path own = files / "own";
    ClusterPart a = make_part(shared, cid, "rabbit@a", true);
    ClusterPart b = make_part(shared, cid, "rabbit@b", false);
    ClusterPart c = make_part(own, cid, "rabbit@c", false);

    void publish() const {
        publish_parts(shared, cid, {a, b, c});
        publish_parts(own, cid, {a, b, c});
    }
    harness::CliResult run(std::vector<std::string> arguments,
                           const std::filesystem::path& repository) const {
        arguments.insert(arguments.end(), {"-r", repository, "--json"});
        return run_cli(arguments);
    }
    std::string text(std::vector<std::string> arguments,
                     const std::filesystem::path& repository) const {
        arguments.insert(arguments.end(), {"-r", repository});
        return run_cli(arguments).output;
    }
};

nlohmann::json states(const nlohmann::json& summary) {
    auto list = nlohmann::json::array();
    for (const auto& part : summary.at("parts")) {
        list.push_back(part.at("state"));
    }
    return list;
}

std::vector<nlohmann::json> summaries(const harness::CliResult& result) {
    auto lines = result.lines;
    std::erase_if(lines, [](const auto& line) { return line["message_type"] != "summary"; });
    return lines;
}

}  // namespace

TEST_CASE("list has one row for a cluster backup, and one for what is in doubt") {
    Cluster cluster;
    const auto before = cluster.run({"list"}, cluster.shared);
    CHECK(before.exit_code == 0);
    CHECK(before.line("in_doubt")["backup"] == cid);
    CHECK(before.line("in_doubt")["parts"].size() == 2);
    CHECK_THAT(cluster.text({"list"}, cluster.own),
               Contains(cid + "  in doubt (rabbit@c), not a backup"));
    CHECK(cluster.run({"show"}, cluster.shared).exit_code == 10);

    cluster.publish();
    const auto single = make_backup(cluster.shared, {.instant = "2026-11-23T07:00:00Z"});
    const auto list = cluster.run({"list"}, cluster.shared);
    CHECK(list.exit_code == 0);
    REQUIRE(summaries(list).size() == 2);
    const auto whole = summaries(list)[0];
    CHECK(whole["backup"] == cid);
    CHECK(whole["kind"] == "cluster");
    CHECK(whole["cluster"] == "prod");
    CHECK(whole["protected"] == false);
    CHECK(states(whole) == nlohmann::json{"here", "here", "elsewhere"});
    CHECK(summaries(list)[1]["backup"] == single);
    const auto text = cluster.text({"list", "--parts"}, cluster.shared);
    CHECK_THAT(text, Contains("cluster of 3: prod") && Contains(cluster.b.backup) &&
                         Contains("rabbit@c, in " + cluster.own.string() + " on c"));
    CHECK_THAT(cluster.text({"list"}, cluster.shared), !Contains(cluster.b.backup));
    std::filesystem::remove(cluster.shared / "manifests" / (cluster.b.backup + ".manifest"));
    CHECK(states(summaries(cluster.run({"list"}, cluster.shared))[0]) ==
          nlohmann::json{"here", "missing", "elsewhere"});
}

TEST_CASE("show tells of the whole and of a part") {
    Cluster cluster;
    cluster.publish();
    const auto whole = cluster.run({"show"}, cluster.shared);
    REQUIRE(whole.exit_code == 0);
    CHECK(whole.line("summary")["stop"]["proof"] == "messages");
    CHECK(whole.line("summary")["vhosts"].size() == 1);
    CHECK(whole.line("summary")["affected_queues"].empty());
    CHECK_THAT(cluster.text({"show"}, cluster.shared),
               Contains("cluster of 3") && Contains("rabbit@b, here"));
    // The metadata is in another repository.
    const auto without = cluster.run({"show"}, cluster.own);
    CHECK(without.exit_code == 0);
    CHECK_FALSE(without.line("summary").contains("vhosts"));

    const auto part = cluster.run({"show", "--part", "rabbit@b"}, cluster.shared);
    CHECK(part.exit_code == 0);
    CHECK(part.line("summary")["backup"] == cluster.b.backup);
    CHECK(part.line("summary")["kind"] == "part");
    CHECK(cluster.run({"show", cluster.b.backup}, cluster.shared).exit_code == 0);
    const auto elsewhere = cluster.run({"show", "--part", "rabbit@c"}, cluster.shared);
    CHECK(elsewhere.exit_code == 10);
    CHECK_THAT(elsewhere.line("error")["hint"].get<std::string>(), Contains(cluster.own.string()));
    CHECK(cluster.run({"show", "--part", "rabbit@x"}, cluster.shared).exit_code == 2);

    CHECK(cluster.run({"show", "--list", "queues"}, cluster.shared).exit_code == 0);
    CHECK(cluster.run({"show", "--list", "log"}, cluster.own).exit_code == 0);
    CHECK(cluster.run({"show", "--list", "files"}, cluster.shared).exit_code == 2);
    CHECK(
        cluster.run({"show", "--list", "files", "--part", "rabbit@a"}, cluster.shared).exit_code ==
        0);
}

TEST_CASE("verify checks the parts that are here, and says which are not") {
    Cluster cluster;
    cluster.publish();
    const auto verified = cluster.run({"verify"}, cluster.shared);
    CHECK(verified.exit_code == 0);
    CHECK(verified.line("summary")["backup"] == cid);
    CHECK(states(verified.line("summary")) == nlohmann::json{"whole", "whole", "not_checked"});
    CHECK_THAT(cluster.text({"verify"}, cluster.own),
               Contains("not checked here: rabbit@a in " + cluster.shared.string() + " on host a"));
    CHECK(read_marks(Repository::open(posix_file_system(), cluster.shared), cid).verified);
    const auto all = cluster.run({"verify", "--with", cluster.own}, cluster.shared);
    CHECK(all.exit_code == 0);
    CHECK(states(all.line("summary")) == nlohmann::json{"whole", "whole", "whole"});
    CHECK(cluster.run({"verify", cluster.b.backup}, cluster.shared).exit_code == 0);
    CHECK(cluster.run({"verify", "--all"}, cluster.shared).exit_code == 0);

    const auto check_damaged = [&](const std::string& node, const char* state) {
        const auto result = cluster.run({"verify", "--with", cluster.own}, cluster.shared);
        CHECK(result.exit_code == 3);
        CHECK(result.line("damage")["node"] == node);
        const auto summary = result.line("summary");
        REQUIRE(summary["parts"].size() == 3);
        for (const auto& part : summary["parts"]) {
            CHECK(part["state"] == (part["node"] == node ? state : "whole"));
        }
    };
    const auto manifest_of_b = cluster.shared / "manifests" / (cluster.b.backup + ".manifest");
    SECTION("a part whose bytes are damaged") {
        flip_last_bit(cluster.shared / "packs" / (cluster.b.backup + ".0001.pack"));
        check_damaged("rabbit@b", "damaged");
        CHECK(cluster.run({"verify"}, cluster.own).exit_code == 0);
    }
    SECTION("a part that should be here and is not") {
        std::filesystem::remove(manifest_of_b);
        check_damaged("rabbit@b", "missing");
        CHECK(cluster.run({"verify"}, cluster.shared).exit_code == 3);
        CHECK(cluster.run({"verify"}, cluster.own).exit_code == 0);
    }
    SECTION("a part with another manifest, whole by itself") {
        const auto other = cluster.files / "other";
        make_part(other, cid, "rabbit@a", true);
        REQUIRE(make_part(other, cid, "rabbit@x", false).backup == cluster.b.backup);
        for (const char* directory : {"packs", "manifests"}) {
            std::filesystem::copy(other / directory, cluster.shared / directory,
                                  std::filesystem::copy_options::recursive |
                                      std::filesystem::copy_options::overwrite_existing);
        }
        CHECK(cluster.run({"verify", cluster.b.backup}, cluster.shared).exit_code == 0);
        check_damaged("rabbit@b", "damaged");
    }
    SECTION("a part that is in none of the repositories") {
        const auto empty = cluster.files / "empty";
        make_backup(empty);
        CHECK(cluster.run({"verify", cid, "--with", empty}, cluster.shared).exit_code == 3);
    }
    SECTION("the manifest of the cluster backup") {
        auto content = read_file(cluster.shared / "clusters" / (cid + ".cluster"));
        content[100] = static_cast<char>(content[100] ^ 1);
        harness::write_file(cluster.shared / "clusters" / (cid + ".cluster"), content);
        const auto result = cluster.run({"verify", cid}, cluster.shared);
        CHECK(result.exit_code == 3);
        CHECK(result.line("damage")["name"] == "clusters/" + cid + ".cluster");
        CHECK(cluster.run({"list"}, cluster.shared).exit_code == 3);
    }
}

TEST_CASE("delete removes what is here and says what remains elsewhere") {
    Cluster cluster;
    SECTION("what is in doubt, by the ID of the whole") {
        CHECK(cluster.run({"delete", cid}, cluster.shared).exit_code == 0);
        CHECK(cluster.run({"delete", cluster.c.backup}, cluster.own).exit_code == 0);
        CHECK(cluster.run({"delete", cid}, cluster.own).exit_code == 10);
    }
    SECTION("a whole") {
        cluster.publish();
        CHECK(cluster.run({"delete", cluster.a.backup}, cluster.shared).exit_code == 1);
        CHECK(cluster.run({"protect", cluster.a.backup}, cluster.shared).exit_code == 2);
        CHECK(cluster.run({"protect", cid}, cluster.shared).exit_code == 0);
        CHECK(cluster.run({"delete", cid}, cluster.shared).exit_code == 13);
        CHECK(cluster.run({"unprotect", cid}, cluster.shared).exit_code == 0);
        const auto deleted = cluster.run({"delete", cid}, cluster.shared);
        CHECK(deleted.exit_code == 0);
        REQUIRE(deleted.line("summary")["remaining"].size() == 1);
        CHECK(deleted.line("summary")["remaining"][0]["node"] == "rabbit@c");
        CHECK(deleted.line("summary")["bytes_freed"] > 0);
        CHECK(cluster.run({"verify", cid}, cluster.own).exit_code == 0);
    }
    CHECK(std::filesystem::is_empty(cluster.shared / "packs"));
    CHECK(std::filesystem::is_empty(cluster.shared / "manifests"));
}

TEST_CASE("prune judges a cluster backup as one, apart from those of nodes") {
    Cluster cluster;
    cluster.publish();
    const auto single = make_backup(cluster.shared, {.instant = "2026-11-23T07:00:00Z"});
    const auto kept = cluster.run({"prune", "--keep-last", "1"}, cluster.shared);
    REQUIRE(kept.exit_code == 0);
    CHECK(kept.line("summary")["kept"] == 2);
    const auto later = "20261124T073241.512Z";
    publish_parts(cluster.shared, later, {make_part(cluster.shared, later, "rabbit@a", true)});
    const auto pruned = cluster.run({"prune", "--keep-last", "1"}, cluster.shared);
    REQUIRE(pruned.exit_code == 0);
    CHECK(pruned.line("decision")["node"] == "cluster/prod");
    CHECK(pruned.line("decision")["pack_bytes"] > 0);
    CHECK(pruned.line("summary")["removed"] == nlohmann::json{cid});
    const auto repository = Repository::open(posix_file_system(), cluster.shared);
    CHECK(repository.list() == std::vector<std::string>{single, later});
    CHECK(repository.parts_here(cid).empty());
    CHECK(cluster.run({"verify", "--all"}, cluster.shared).exit_code == 0);
}

TEST_CASE("definitions come from the part that has the metadata") {
    Cluster cluster;
    cluster.publish();
    const auto output = cluster.files / "definitions.json";
    CHECK(cluster.run({"definitions", "-o", output}, cluster.shared).exit_code == 0);
    CHECK_THAT(read_file(output), Contains("\"vhosts\""));
    const auto elsewhere = cluster.run({"definitions", "-o", output}, cluster.own);
    CHECK(elsewhere.exit_code == 10);
    CHECK_THAT(elsewhere.line("error")["message"].get<std::string>(), Contains("rabbit@a"));
    CHECK(cluster.run({"definitions", cluster.b.backup, "-o", output}, cluster.shared).exit_code ==
          2);
}

TEST_CASE("an archive has all parts, or one with the manifest of the whole") {
    Cluster cluster;
    cluster.publish();
    const auto archive = [&](const std::string& id, const std::filesystem::path& repository) {
        return cluster.run({"archive", id, "-o", cluster.files / "it.tar"}, repository);
    };
    const auto unpack = [&](const std::string& id) {
        std::filesystem::remove_all(cluster.files / ("rabbitmq-hot-backup-" + id));
        REQUIRE(harness::run("tar", {"-xf", cluster.files / "it.tar", "-C", cluster.files.path(),
                                     "--no-same-owner"})
                    .exit_code == 0);
        return cluster.files / ("rabbitmq-hot-backup-" + id);
    };
    const auto refused = archive(cid, cluster.shared);
    CHECK(refused.exit_code == 10);
    CHECK_THAT(refused.line("error")["hint"].get<std::string>(), Contains(cluster.own.string()));

    REQUIRE(archive(cluster.c.backup, cluster.own).exit_code == 0);
    const auto part = unpack(cluster.c.backup);
    const auto verified = cluster.run({"verify", cid, "--with", cluster.shared}, part);
    CHECK(verified.exit_code == 0);
    CHECK(states(verified.line("summary")) == nlohmann::json{"whole", "whole", "whole"});

    const auto later = "20261124T073241.512Z";
    publish_parts(cluster.shared, later,
                  {make_part(cluster.shared, later, "rabbit@a", true),
                   make_part(cluster.shared, later, "rabbit@b", false)});
    REQUIRE(archive(later, cluster.shared).exit_code == 0);
    const auto whole = cluster.run({"verify", "--all"}, unpack(later));
    CHECK(whole.exit_code == 0);
    CHECK(states(whole.line("summary")) == nlohmann::json{"whole", "whole"});
}
