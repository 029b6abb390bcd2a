// What Prometheus gets of a real node, before and after real backups.
#include "tests/harness/http_client.hpp"
#include "tests/harness/port.hpp"
#include "tests/harness/temp_dir.hpp"
#include "tests/harness/wait.hpp"
#include "tests/integration/support.hpp"
#include "tests/schedule/exposition.hpp"

#include <catch2/catch.hpp>

#include <csignal>
#include <ctime>

using namespace harness;
using namespace integration;
using namespace std::chrono_literals;

namespace {

const std::string prefix = "rabbitmq_hot_backup_";

class Monitored {
public:
    Monitored() : broker(options(port_)) {
        wait_for("the metrics", 60s, [this] { return !scrape().empty(); });
    }

    exposition::Families scrape(const std::string& path = "/metrics") const {
        const auto answer = HttpClient(port_.number(), std::nullopt).request("GET", path);
        REQUIRE(answer.status == 200);
        return exposition::read(answer.body, prefix);
    }

    // Waits until a sample has a value; fails with what there was instead.
    void expect(const std::string& family, const std::string& labels, double value) const {
        exposition::Families families;
        try {
            wait_for(family, 60s, [&] {
                families = scrape();
                const auto& samples = families[prefix + family].samples;
                const auto sample = samples.find(prefix + family + labels);
                return sample != samples.end() && sample->second == value;
            });
        } catch (const hot_backup::Error& error) {
            FAIL(error.what() << labels << " was "
                              << families[prefix + family].samples[prefix + family + labels]);
        }
    }

private:
    static BrokerOptions options(const Port& port) {
        BrokerOptions options;
        options.plugins = {"rabbitmq_prometheus"};
        options.configuration = "prometheus.tcp.ip = 127.0.0.1\nprometheus.tcp.port = " +
                                std::to_string(port.number()) +
                                "\nhot_backup.schedule = @yearly\nhot_backup.time_zone = utc\n";
        return options;
    }

    Port port_;

public:
    const Broker broker;
};

double value(exposition::Families& families, const std::string& family,
             const std::string& labels = {}) {
    return families[prefix + family].samples.at(prefix + family + labels);
}

}  // namespace

TEST_CASE("metrics tell of backups, good ones and failed ones") {
    const Monitored monitored;
    const Broker& broker = monitored.broker;

    SECTION("from nothing to a verified backup") {
        auto before = monitored.scrape();
        CHECK(value(before, "completed_total", R"({kind="backup"})") == 0);
        CHECK(value(before, "running", R"({kind="backup"})") == 0);
        CHECK(value(before, "failures_total", R"({kind="backup",reason="failed"})") == 0);
        // What is not known is not zero.
        CHECK_FALSE(before.contains(prefix + "last_success_timestamp_seconds"));
        const auto next = static_cast<std::time_t>(
            value(before, "next_run_timestamp_seconds", R"({kind="backup"})"));
        CHECK(next > std::time(nullptr));
        CHECK(next <= std::time(nullptr) + 366 * 86400);

        const Job job = wait_until_finished(broker, start_backup(broker, broker.repository()));
        REQUIRE(job.state == "done");
        monitored.expect("completed_total", R"({kind="verify"})", 1);
        monitored.expect("last_check_ok", R"({kind="verify"})", 1);
        auto after = monitored.scrape();
        const auto listed = run_cli({"list", "-r", broker.repository(), "--json"}).line("summary");
        CHECK(value(after, "completed_total", R"({kind="backup"})") == 1);
        CHECK(value(after, "backups") == 1);
        CHECK(value(after, "repository_readable") == 1);
        CHECK(value(after, "last_size_bytes") == listed["bytes"].get<double>());
        CHECK(value(after, "repository_size_bytes") == listed["stored_bytes"].get<double>());
        const double pause = listed["cut"]["pause_us"].get<double>() / 1e6;
        CHECK(value(after, "last_pause_seconds") == Approx(pause));
        CHECK(after[prefix + "pause_seconds"].samples[prefix + "pause_seconds_count"] == 1);
        CHECK(after[prefix + "pause_seconds"].samples[prefix + "pause_seconds_sum"] ==
              Approx(pause));
        const auto now = static_cast<double>(std::time(nullptr));
        CHECK(std::abs(value(after, "last_success_timestamp_seconds") - now) < 60);
        CHECK(value(after, "last_success_age_seconds") < 60);
        CHECK(value(after, "last_verified_timestamp_seconds") ==
              value(after, "last_success_timestamp_seconds"));
        CHECK(value(after, "last_duration_seconds") < 60);
        CHECK(value(after, "repository_free_bytes") > 0);
        CHECK(value(after, "repository_capacity_bytes") > value(after, "repository_free_bytes"));
        CHECK(monitored.scrape("/metrics/per-object").size() == after.size());
        CHECK(broker.eval("rabbit_hot_backup_health:last_verified(3600).").is_atom("ok"));

        // Damage that a later verification finds.
        for (const auto& pack :
             std::filesystem::directory_iterator(broker.repository() / "packs")) {
            std::filesystem::resize_file(pack.path(), 100);
        }
        broker.eval("rabbit_hot_backup:start_verification(<<\"" + job.backup +
                    "\">>, #{user => <<\"u\">>}).");
        monitored.expect("failures_total", R"({kind="verify",reason="damaged"})", 1);
        monitored.expect("last_check_ok", R"({kind="verify"})", 0);
        auto damaged = monitored.scrape();
        CHECK_FALSE(damaged.contains(prefix + "last_verified_timestamp_seconds"));
        CHECK(damaged.contains(prefix + "last_success_timestamp_seconds"));
        CHECK_FALSE(broker.eval("rabbit_hot_backup_health:last_verified(3600).").is_atom("ok"));
    }

    SECTION("a backup that fails, and one that runs") {
        broker.eval("application:set_env(rabbitmq_hot_backup, repository, \"/proc/none\").");
        wait_until_finished(broker, start_backup(broker, "/proc/none"));
        monitored.expect("failures_total", R"({kind="backup",reason="failed"})", 1);
        broker.eval("application:set_env(rabbitmq_hot_backup, repository, \"" +
                    broker.repository().string() + "\").");
        add_ballast(broker);
        const auto stopped = start_and_stop_in_stream(broker, broker.repository());
        monitored.expect("running", R"({kind="backup"})", 1);
        REQUIRE(broker.call("rabbit_hot_backup", "cancel", {erlang::integer(stopped.job)})
                    .is_atom("ok"));
        kill(stopped.program, SIGCONT);
        monitored.expect("running", R"({kind="backup"})", 0);
        monitored.expect("failures_total", R"({kind="backup",reason="cancelled"})", 1);
    }

    SECTION("the plugins come and go in any order") {
        enable_only(broker, "rabbitmq_hot_backup");
        enable_only(broker, "rabbitmq_hot_backup,rabbitmq_prometheus");
        wait_for("the metrics", 60s, [&] { return !monitored.scrape().empty(); });
        enable_only(broker, "rabbitmq_prometheus");
        CHECK(monitored.scrape().empty());
        enable_only(broker, "rabbitmq_hot_backup,rabbitmq_prometheus");
        wait_for("the metrics", 60s, [&] { return !monitored.scrape().empty(); });
    }
}

TEST_CASE("documentation, dashboard and alerts name metrics that exist") {
    const Monitored monitored;
    run_cli(create_arguments(monitored.broker, monitored.broker.repository()));
    monitored.broker.eval(
        "rabbit_hot_backup:start_verification(<<\"latest\">>, "
        "#{user => <<\"u\">>}).");
    monitored.expect("last_check_ok", R"({kind="verify"})", 1);
    const auto families = monitored.scrape();

    const std::filesystem::path docs = DOCUMENTATION;
    const auto is_known = [&](std::string name) {
        for (const std::string suffix : {"_bucket", "_count", "_sum"}) {
            if (name.ends_with(suffix) && !families.contains(name)) {
                name.resize(name.size() - suffix.size());
            }
        }
        return families.contains(name);
    };
    for (const std::string file :
         {"operations.md", "prometheus-alerts.yml", "grafana/rabbitmq-hot-backup.json"}) {
        const auto names = exposition::names_in(read_file(docs / file), prefix);
        CHECK(names.size() >= 5);
        for (const auto& name : names) {
            INFO(file << " names " << name);
            CHECK(is_known(name));
        }
    }
    const auto documented = read_file(docs / "operations.md");
    for (const auto& [name, family] : families) {
        INFO(name);
        CHECK(documented.find("`" + name) != std::string::npos);
        CHECK(documented.find(family.type) != std::string::npos);
    }
    CHECK(nlohmann::json::accept(read_file(docs / "grafana/rabbitmq-hot-backup.json")));
}
