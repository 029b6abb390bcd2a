// What `show` and `list` say of a backup with messages. The backups are made by hand: what a real
// node says of its queues is tested in tests/integration.
#include "sidecar/definitions/snapshot_reader.hpp"
#include "sidecar/engine/stored_snapshot.hpp"
#include "sidecar/engine/stored_statistics.hpp"
#include "sidecar/repository/backup_writer.hpp"
#include "tests/definitions/snapshot_builder.hpp"
#include "tests/harness/cli.hpp"
#include "tests/harness/temp_dir.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <sstream>

using namespace hot_backup;
using namespace snapshot_builder;
using Catch::Contains;
using erlang::list;
using harness::run_cli;

namespace {

struct Content {
    std::vector<Term> records;
    std::string statistics;
    std::optional<CutSummary> cut = CutSummary{900, 5200, 6100, 1, 3, 12, 4096, 70000};
};

Term a_vhost(std::string_view name) {
    return in_table("rabbit_vhost", vhost(name));
}

Term a_queue(std::string_view vhost, std::string_view name) {
    return in_table("rabbit_durable_queue", queue(vhost, name, list({})));
}

std::string a_line(const std::string& vhost, const std::string& name, std::uint64_t ready,
                   std::uint64_t unacknowledged, std::uint64_t bytes) {
    QueueStatistics queue;
    queue.vhost = vhost;
    queue.name = name;
    queue.ready = ready;
    queue.unacknowledged = unacknowledged;
    queue.bytes = bytes;
    return to_line(queue);
}

Content two_vhosts() {
    return {{a_vhost("/"), a_vhost("empty"), a_queue("/", "orders"), a_queue("/", "unknown")},
            a_line("/", "orders", 1200, 34, 56'700'000)};
}

void add_file(BackupWriter& writer, std::string_view path, const char* kind,
              std::string_view content) {
    auto file = writer.add_file(std::string(path), kind);
    file.append(content);
    file.close();
}

std::string make_backup(const std::filesystem::path& directory, const Content& content) {
    const auto repository = Repository::open_or_create(posix_file_system(), directory);
    const Lock lock(posix_file_system(), directory, "create");
    BackupWriter writer(repository, lock);
    add_file(writer, snapshot_path, "metadata", chunk(content.records));
    add_file(writer, statistics_path, "statistics", content.statistics);
    add_file(writer, "configuration/rabbitmq.conf", "configuration", "x = y\n");
    const Extent extent = writer.store("message");
    writer.add_entry({"data/queue", "directory", 0, {}, {}, {}});
    writer.add_entry({"data/queue/1.rdq", "data", 14, {}, {extent, extent}, {}});
    writer.add_entry({"data/queue/2.rdq", "data", 0, {}, {}, {}});
    writer.add_entry({"data/link", "symlink", 0, {}, {}, "/elsewhere\x1b"});
    Summary summary;
    summary.node = "rabbit@here";
    summary.rabbitmq_version = "4.0.5";
    summary.cut = content.cut;
    writer.publish(summary);
    return writer.id();
}

std::string show(const std::filesystem::path& repository, std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "show");
    arguments.insert(arguments.end(), {"-r", repository});
    const auto result = run_cli(arguments);
    CHECK(result.exit_code == 0);
    CHECK(result.error_output.empty());
    return result.output;
}

nlohmann::json show_json(const std::filesystem::path& repository,
                         std::vector<std::string> arguments = {}) {
    arguments.insert(arguments.begin(), {"show", "--json", "-r", repository});
    const auto result = run_cli(arguments);
    CHECK(result.exit_code == 0);
    return result.line("summary");
}

std::size_t lines_with(const std::string& output, const std::string& text) {
    std::istringstream stream(output);
    std::size_t count = 0;
    for (std::string line; std::getline(stream, line);) {
        count += line.find(text) != std::string::npos ? 1U : 0U;
    }
    return count;
}

}  // namespace

TEST_CASE("show says what is in the queues, and how long the node was held") {
    const harness::TempDir files;
    make_backup(files / "r", two_vhosts());
    const auto output = show(files / "r", {});
    CHECK_THAT(output, Contains("pause       6.1 ms (0.9 ms to stop everything, 5.2 ms held), "
                                "1 attempt, 3 passes\n"));
    CHECK_THAT(output, Contains("vhost       /: 2 queues, at least 1200 messages ready, at least "
                                "34 unacknowledged, at least 56.7 MB\n"
                                "  READY       UNACKED   SIZE      TYPE        QUEUE\n"
                                "  1200        34        56.7 MB   classic v2  orders\n"
                                "  -           -         -         classic v2  unknown\n"
                                "vhost       empty: 0 queues\n"));

    const auto json = show_json(files / "r");
    CHECK(json["cut"]["pause_us"] == 6100);
    CHECK(json["cut"].size() == 8);
    REQUIRE(json["vhosts"].size() == 2);
    CHECK(json["vhosts"][0]["name"] == "/");
    CHECK(json["vhosts"][0]["queues"] ==
          nlohmann::json::parse(R"([{"name":"orders","type":"classic","version":2,"ready":1200,
                                     "unacknowledged":34,"bytes":56700000},
                                    {"name":"unknown","type":"classic","version":2}])"));
    CHECK(json["vhosts"][1]["queues"].empty());
}

TEST_CASE("a backup without messages says so") {
    const harness::TempDir files;
    auto content = two_vhosts();
    content.cut.reset();
    make_backup(files / "r", content);
    CHECK_THAT(show(files / "r", {}), Contains("pause       none: the backup holds no messages\n"));
    CHECK_FALSE(show_json(files / "r").contains("cut"));
    CHECK_THAT(run_cli({"list", "-r", files / "r"}).output, Contains(" -    "));
}

TEST_CASE("the node's files are counted, and listed on demand") {
    const harness::TempDir files;
    make_backup(files / "r", two_vhosts());
    const auto brief = show(files / "r", {});
    CHECK_THAT(brief, Contains("data        2 files, 14 B; 1 directory, 1 symbolic link\n"));
    CHECK_THAT(brief,
               Contains("configuration/rabbitmq.conf\n") && Contains(" metadata/snapshot\n"));
    CHECK_THAT(brief, Contains("statistics/queues\n") && !Contains("rdq"));
    CHECK_THAT(show(files / "r", {"--files"}),
               Contains("data/queue/1.rdq\n") && Contains("data/link -> /elsewhere\\x1b\n"));

    const auto list = show_json(files / "r")["file_list"];
    REQUIRE(list.size() == 7);
    CHECK(list[1]["target"] == "/elsewhere\x1b");
    CHECK_FALSE(list[0].contains("target"));

    CHECK_FALSE(list[1].contains("checksums"));
    const auto rdq = std::find_if(list.begin(), list.end(), [](const nlohmann::json& file) {
        return file["file"] == "data/queue/1.rdq";
    });
    REQUIRE(rdq != list.end());
    REQUIRE((*rdq)["checksums"].size() == 2);  // one of each extent
    CHECK((*rdq)["checksums"][0].get<std::string>().size() == 32);
}

TEST_CASE("of many queues the largest are printed, and all of them on demand") {
    const harness::TempDir files;
    Content content{{a_vhost("a"), a_vhost("b")}, {}};
    for (std::uint64_t n = 0; n < 120; ++n) {
        const std::string vhost = n % 2 == 0 ? "a" : "b";
        const std::string name = "queue-" + std::to_string(1000 + n);
        content.records.push_back(a_queue(vhost, name));
        content.statistics += a_line(vhost, name, 10 * n, n % 2 == 0 ? 0 : 5000, 1);
    }
    make_backup(files / "r", content);

    // Those of vhost b have 5,000 unacknowledged ones more.
    const auto largest = show(files / "r", {});
    CHECK(lines_with(largest, "queue-") == 50);
    CHECK_THAT(largest, Contains("queue-1119\n") && Contains("queue-1021\n"));
    CHECK_THAT(largest, !Contains("queue-1019\n") && !Contains("queue-1118\n"));
    CHECK_THAT(largest, Contains("vhost       a: 60 queues, 35400 messages ready"));
    CHECK_THAT(largest, Contains("queues      70 more"));

    const auto all = show(files / "r", {"--all"});
    CHECK(lines_with(all, "queue-") == 120);
    CHECK_THAT(all, !Contains("more"));

    const auto one = show(files / "r", {"--vhost", "a"});
    CHECK(lines_with(one, "queue-") == 50);
    CHECK_THAT(one, Contains("queue-1118\n") && !Contains("vhost       b"));
    CHECK_THAT(one, Contains("queues      10 more"));

    CHECK(show_json(files / "r")["vhosts"][1]["queues"].size() == 60);
    const auto json = show_json(files / "r", {"--vhost", "a"})["vhosts"];
    REQUIRE(json.size() == 1);
    CHECK(json[0]["queues"].size() == 60);

    const auto missing = run_cli({"show", "--vhost", "c", "-r", files / "r", "--json"});
    CHECK(missing.exit_code == 1);
    CHECK_THAT(missing.line("error")["message"].get<std::string>(), Contains("no vhost c"));
}

TEST_CASE("names cannot reach the terminal with control characters or break JSON") {
    const harness::TempDir files;
    make_backup(files / "r", {{a_vhost("v\n"), a_queue("v\n", "q\x1b[2J\xff")},
                              a_line("v\n", "q\x1b[2J\xff", 7, 0, 0)});
    CHECK_THAT(show(files / "r", {}),
               Contains("vhost       v\\x0a: 1 queue") && Contains("q\\x1b[2J\xef\xbf\xbd\n"));
    const auto queue = show_json(files / "r", {"--vhost", "v\n"})["vhosts"][0]["queues"][0];
    CHECK(queue["name"] == "q\x1b[2J\xef\xbf\xbd");
    CHECK(queue["ready"] == 7);
}

TEST_CASE("list shows the pause and the queues, and what nobody knows as such") {
    const harness::TempDir files;
    const auto id = make_backup(files / "r", two_vhosts());
    const auto list = run_cli({"list", "-r", files / "r"});
    CHECK_THAT(list.output,
               Contains("ID                    AGE     SIZE      PAUSE      QUEUES  MESSAGES   "
                        "VERIFIED                PROTECTED  NODE\n"));
    CHECK_THAT(list.output, Contains(id) && Contains("6.1 ms     0       -          never") &&
                                Contains("-          rabbit@here\n"));
    CHECK(run_cli({"list", "-r", files / "r", "--json"}).line("summary")["cut"]["hold_us"] == 5200);
}

TEST_CASE("verify reads the statistics through, and finds damage in the node's files") {
    const harness::TempDir files;
    auto content = two_vhosts();
    SECTION("whole") {
        make_backup(files / "r", content);
        const auto verify = run_cli({"verify", "-r", files / "r", "--json"});
        CHECK(verify.exit_code == 0);
        CHECK(verify.line("summary")["files"] == 7);
    }
    SECTION("statistics that are none") {
        content.statistics += "nonsense\n";
        make_backup(files / "r", content);
        const auto verify = run_cli({"verify", "-r", files / "r", "--json"});
        CHECK(verify.exit_code == 3);
        CHECK(verify.line("damage")["name"] == "statistics/queues");
        CHECK(run_cli({"show", "-r", files / "r"}).exit_code == 3);
    }
    SECTION("a changed message") {
        const auto id = make_backup(files / "r", content);
        const auto pack = files / "r" / "packs" / (id + ".0001.pack");
        // It was stored last.
        const int changed = std::system(("printf X | dd of='" + pack.string() +
                                         "' bs=1 conv=notrunc status=none seek=" +
                                         std::to_string(std::filesystem::file_size(pack) - 1))
                                            .c_str());
        REQUIRE(changed == 0);
        const auto verify = run_cli({"verify", "-r", files / "r", "--json"});
        CHECK(verify.exit_code == 3);
        CHECK(verify.line("damage")["name"] == "data/queue/1.rdq");
        CHECK(verify.line("damage")["extents"] == 2);
        CHECK(show_json(files / "r")["file_list"].size() == 7);
    }
}

TEST_CASE("a pause and a rate that make no sense are wrong usage") {
    const harness::TempDir files;
    const auto create = [&](const std::string& option, const std::string& value) {
        // A node name that no host can have: no node is asked.
        return run_cli({"create", "-n", "no@host@name", "-r", files / "r", option, value})
            .exit_code;
    };
    for (const auto* pause : {"0", "10001", "-1", "x", "5ms", ""}) {
        CAPTURE(pause);
        CHECK(create("--max-pause", pause) == 2);
    }
    for (const auto* rate :
         {"-1", "-5MB", "x", "50 parsecs", "1.5.2", "", "99999999999999999999"}) {
        CAPTURE(rate);
        CHECK(create("--rate-limit", rate) == 2);
    }
    for (const auto* pause : {"1", "250", "10000"}) {
        CHECK(create("--max-pause", pause) != 2);
    }
    for (const auto* rate : {"0", "50000000", "50MB", "50M", "1GiB", "50 mb"}) {
        CAPTURE(rate);
        CHECK(create("--rate-limit", rate) != 2);
    }
}
