// `show --list`: which part of a long list is printed, in which order, and what the lists hold.
#include "sidecar/definitions/snapshot_reader.hpp"
#include "sidecar/engine/stored_snapshot.hpp"
#include "sidecar/engine/stored_statistics.hpp"
#include "sidecar/repository/backup_writer.hpp"
#include "tests/definitions/snapshot_builder.hpp"
#include "tests/harness/cli.hpp"
#include "tests/harness/temp_dir.hpp"

#include <catch2/catch.hpp>

using namespace hot_backup;
using namespace snapshot_builder;
using Catch::Contains;
using erlang::list;
using harness::run_cli;

namespace {

std::string a_line(const std::string& name, std::uint64_t ready, std::uint64_t unacknowledged,
                   std::uint64_t bytes) {
    QueueStatistics queue;
    queue.vhost = "/";
    queue.name = name;
    queue.ready = ready;
    queue.unacknowledged = unacknowledged;
    queue.bytes = bytes;
    return to_line(queue);
}

void add_file(BackupWriter& writer, std::string_view path, const char* kind,
              std::string_view content) {
    auto file = writer.add_file(std::string(path), kind);
    file.append(content);
    file.close();
}

// Three queues, of which one was not counted, and files of every kind.
std::string make_backup(const std::filesystem::path& directory) {
    const auto repository = Repository::open_or_create(posix_file_system(), directory);
    const Lock lock(posix_file_system(), directory, "create");
    BackupWriter writer(repository, lock);
    const auto a_queue = [](std::string_view name) {
        return in_table("rabbit_durable_queue", queue("/", name, list({})));
    };
    add_file(writer, snapshot_path, "metadata",
             chunk({in_table("rabbit_vhost", vhost("/")), in_table("rabbit_vhost", vhost("empty")),
                    a_queue("orders"), a_queue("größer"), a_queue("unknown")}));
    add_file(writer, statistics_path, "statistics",
             a_line("orders", 5, 2, 100) + a_line("größer", 9, 0, 50));
    add_file(writer, "configuration/rabbitmq.conf", "configuration", "a = b\n\x1b[2J\n");
    add_file(writer, "configuration/advanced.config", "configuration",
             std::string(300'000, 'x') + "\n");
    Summary summary;
    summary.node = "rabbit@here";
    summary.rabbitmq_version = "4.0.5";
    summary.log = {{now(), "begin", "it began"}, {now(), "stop", "6.1 ms\x1b"}};
    writer.publish(summary);
    return writer.id();
}

struct Shown {
    std::vector<nlohmann::json> items;
    nlohmann::json summary;
};

Shown show(const std::filesystem::path& repository, std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"show", "--json", "-r", repository, "--list"});
    const auto result = run_cli(arguments);
    INFO(result.output << result.error_output);
    REQUIRE(result.exit_code == 0);
    Shown shown{result.lines, result.line("summary")};
    REQUIRE(shown.items.back()["message_type"] == "summary");
    shown.items.pop_back();
    return shown;
}

std::vector<std::string> names(const Shown& shown, const char* key = "name") {
    std::vector<std::string> texts;
    for (const auto& item : shown.items) {
        texts.push_back(item[key]);
    }
    return texts;
}

int exit_code(const std::filesystem::path& repository, std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"show", "-r", repository});
    return run_cli(arguments).exit_code;
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("queues are sorted, filtered and cut by the program") {
    const harness::TempDir files;
    const auto r = files / "r";
    make_backup(r);
    const auto all = show(r, {"queues"});
    CHECK(names(all) == Texts{"größer", "orders", "unknown"});
    CHECK(all.items[1] ==
          nlohmann::json::parse(R"({"message_type":"queue","vhost":"/","name":"orders",
              "type":"classic","version":2,"ready":5,"unacknowledged":2,"bytes":100,
              "messages":7})"));
    CHECK_FALSE(all.items[2].contains("messages"));
    CHECK(all.summary["total"] == 3);

    CHECK(names(show(r, {"queues", "--sort", "messages"})) == Texts{"unknown", "orders", "größer"});
    CHECK(names(show(r, {"queues", "--sort", "bytes", "--reverse"})) ==
          Texts{"orders", "größer", "unknown"});
    const auto page = show(r, {"queues", "--sort", "name", "--offset", "1", "--limit", "1"});
    CHECK(names(page) == Texts{"orders"});
    CHECK(page.summary["total"] == 3);
    CHECK(page.summary["matched"] == 3);
    CHECK(page.summary["shown"] == 1);
    CHECK(show(r, {"queues", "--offset", "7"}).items.empty());

    const auto found = show(r, {"queues", "--filter", "GRÖß"});
    CHECK(names(found) == Texts{"größer"});
    CHECK(found.summary["total"] == 3);
    CHECK(found.summary["matched"] == 1);
    CHECK(show(r, {"queues", "--filter", "o.d"}).items.empty());
    CHECK(names(show(r, {"queues", "--filter", "^(O.D|g\\w+r$)", "--regex"})) ==
          Texts{"größer", "orders"});
    CHECK(show(r, {"queues", "--vhost", "empty"}).items.empty());
}

TEST_CASE("a part of a list that makes no sense is wrong usage") {
    const harness::TempDir files;
    const auto r = files / "r";
    make_backup(r);
    const std::vector<Texts> senseless{{"--list", "nothing"},
                                       {"--list", "queues", "--sort", "nothing"},
                                       {"--list", "files", "--sort", "messages"},
                                       {"--list", "queues", "--filter", "(", "--regex"},
                                       {"--list", "queues", "--filter", "\xff"},
                                       {"--list", "queues", "--regex"},
                                       {"--list", "queues", "--offset", "-1"},
                                       {"--list", "queues", "--limit", "x"},
                                       {"--filter", "x"},
                                       {"--without", "vhosts"}};
    for (const auto& arguments : senseless) {
        CAPTURE(arguments);
        CHECK(exit_code(r, arguments) == 2);
    }
    // It would go on for hours.
    CHECK(exit_code(r, {"--list", "configuration", "--filter", "((.+)+.+)+\\d$", "--regex"}) == 2);
}

TEST_CASE("the description leaves out what is not wanted, and has totals of each vhost") {
    const harness::TempDir files;
    const auto r = files / "r";
    make_backup(r);
    const auto result = run_cli({"show", "--json", "-r", r, "--without", "queues,files"});
    CHECK(result.exit_code == 0);
    const auto json = result.line("summary");
    CHECK_FALSE(json.contains("file_list"));
    CHECK(json["vhosts"] == nlohmann::json::parse(
                                R"([{"name":"/","queue_count":3,"counted":2,"messages":16,
                                     "ready":14,"unacknowledged":2,"bytes":150,"sized":2},
                                    {"name":"empty","queue_count":0,"counted":0,"messages":0,
                                     "ready":0,"unacknowledged":0,"bytes":0,"sized":0}])"));
    const auto text = run_cli({"show", "-r", r, "--without", "queues"}).output;
    CHECK_THAT(text, Contains("vhost       /: 3 queues, at least 14 messages ready") &&
                         !Contains("orders") && Contains("rabbitmq.conf"));
    CHECK(run_cli({"show", "--json", "-r", r}).line("summary")["vhosts"][0]["queues"].size() == 3);
}

TEST_CASE("configuration files are shown with their content") {
    const harness::TempDir files;
    const auto r = files / "r";
    make_backup(r);
    const auto shown = show(r, {"configuration", "--sort", "size"});
    CHECK(names(shown, "file") ==
          Texts{"configuration/rabbitmq.conf", "configuration/advanced.config"});
    CHECK(shown.items[0]["content"] == "a = b\n\x1b[2J\n");
    CHECK(shown.items[0]["truncated"] == false);
    CHECK(shown.items[1]["content"].get<std::string>().size() == 262'144);
    CHECK(shown.items[1]["truncated"] == true);
    CHECK_THAT(run_cli({"show", "-r", r, "--list", "configuration", "--filter", "rabbitmq"}).output,
               Contains("    a = b\n    \\x1b[2J\n"));
    CHECK(names(show(r, {"files", "--filter", "META"}), "file") == Texts{"metadata/snapshot"});
}

TEST_CASE("the log tells the making and what came later") {
    const harness::TempDir files;
    const auto r = files / "r";
    const auto id = make_backup(r);
    CHECK(run_cli(
              {"note", "latest", "-r", r, "--text", "before it", "--when", "2020-01-01T00:00:00Z"})
              .exit_code == 0);
    CHECK(run_cli({"protect", id, "-r", r, "--reason", "upgrade"}).exit_code == 0);
    CHECK(run_cli({"unprotect", id, "-r", r}).exit_code == 0);
    CHECK(run_cli({"verify", id, "-r", r}).exit_code == 0);
    const auto shown = show(r, {"log"});
    CHECK(names(shown, "event") ==
          Texts{"note", "begin", "stop", "protected", "unprotected", "verified"});
    CHECK(shown.items[0]["text"] == "before it");
    CHECK(shown.items[3]["text"] == "upgrade");
    CHECK_THAT(shown.items[5]["text"].get<std::string>(), Contains("intact"));
    CHECK_THAT(run_cli({"show", "-r", r, "--list", "log"}).output, Contains("6.1 ms\\x1b\n"));
    CHECK(run_cli({"note", id, "-r", r}).exit_code == 2);
    CHECK(run_cli({"note", id, "-r", r, "--text", "x", "--when", "yesterday"}).exit_code == 2);
    CHECK(run_cli({"note", "2019", "-r", r, "--text", "x"}).exit_code == 10);
}

TEST_CASE("what the last verification found is kept, and latest passes over what cannot be read") {
    const harness::TempDir files;
    const auto r = files / "r";
    const auto older = make_backup(r);
    const auto newer = make_backup(r);
    CHECK(show(r, {"findings"}).items.empty());
    std::filesystem::resize_file(r / "packs" / (older + ".0001.pack"), 200);
    CHECK(run_cli({"verify", older, "-r", r}).exit_code == 3);
    const auto found = run_cli({"show", older, "--json", "-r", r, "--list", "findings"});
    REQUIRE(found.lines.size() > 1);
    CHECK(found.lines[0]["check"] == "verified");
    CHECK(found.lines[0]["finding"]["message_type"] == "damage");

    std::filesystem::resize_file(r / "manifests" / (newer + ".manifest"), 100);
    const auto passed_over = run_cli({"show", "latest", "--json", "-r", r, "--list", "log"});
    CHECK(passed_over.exit_code == 0);
    CHECK(passed_over.line("passed_over")["backup"] == newer);
    CHECK(passed_over.line("summary")["backup"] == older);
    CHECK_THAT(run_cli({"show", "-r", r, "--list", "log"}).error_output,
               Contains("WARNING: backup " + newer + " is newer and cannot be read"));
    // A verification of the latest must not make it look good.
    const auto verified = run_cli({"verify", "-r", r, "--json"});
    CHECK(verified.exit_code == 3);
    CHECK_THAT(verified.output, Contains("\"what\":\"manifest\"") && Contains(older));
}
