// A cluster whose nodes talk over TLS: no message passes between them while they stand still, and
// their clocks have to prove that they stood still together.
#include "tests/harness/broker.hpp"
#include "tests/harness/process.hpp"
#include "tests/harness/temp_dir.hpp"
#include "tests/harness/wait.hpp"
#include "tests/integration/support.hpp"

#include <catch2/catch.hpp>

#include <memory>

using namespace harness;
using namespace integration;
using namespace std::chrono_literals;
using nlohmann::json;

namespace {

// The certificate of all nodes, and the options that tell them of it.
std::filesystem::path make_certificate(const TempDir& files) {
    const Result made =
        run("openssl", {"req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
                        "/CN=localhost", "-keyout", files / "key.pem", "-out", files / "cert.pem"});
    INFO(made.error_output);
    REQUIRE(made.exit_code == 0);
    const auto file = [&](const std::string& name) {
        return "\"" + (files / name).string() + "\"";
    };
    write_file(files / "tls.conf", "[{server,[{certfile," + file("cert.pem") + "},{keyfile," +
                                       file("key.pem") + "}]},{client,[{verify,verify_none}]}].");
    return files / "tls.conf";
}

// Its nodes are reached by rabbitmqctl only: a C node does not speak TLS.
class TlsCluster {
public:
    explicit TlsCluster(std::size_t size) {
        const std::string tls =
            "-kernel inet_dist_use_interface {127,0,0,1} -proto_dist inet_tls "
            "-ssl_dist_optfile " +
            make_certificate(files_).string();
        BrokerOptions options;
        options.cookie = "TLSCLUSTER";
        options.await = false;
        options.environment = {{"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-noinput " + tls},
                               {"RABBITMQ_CTL_ERL_ARGS", tls}};
        for (std::size_t node = 0; node < size; ++node) {
            nodes_.push_back(std::make_unique<Broker>(options));
        }
        for (const auto& node : nodes_) {
            await(*node);
            if (node != nodes_.front()) {
                node->rabbitmqctl({"stop_app"});
                node->rabbitmqctl({"join_cluster", nodes_.front()->node()});
                node->rabbitmqctl({"start_app"});
            }
        }
    }

    const Broker& front() const { return *nodes_.front(); }
    const std::vector<std::unique_ptr<Broker>>& nodes() const { return nodes_; }

private:
    static void await(const Broker& node) {
        Result last;
        const auto deadline = std::chrono::steady_clock::now() + 90s;
        do {
            last = node.tool("rabbitmqctl", {"await_startup"});
        } while (last.exit_code != 0 && std::chrono::steady_clock::now() < deadline);
        INFO(last.output << last.error_output << node.log());
        REQUIRE(last.exit_code == 0);
    }

    const TempDir files_;
    std::vector<std::unique_ptr<Broker>> nodes_;
};

}  // namespace

TEST_CASE("over TLS, too, the nodes of a cluster are backed up at one instant") {
    const TlsCluster cluster(3);
    const auto started = cluster.front().rabbitmqctl(
        {"eval", "{ok, Job} = rabbit_hot_backup:start_cluster_backup(#{}), Job."});
    const auto job = std::to_string(std::stoul(started));
    std::string state;
    wait_for("the backup of the cluster", 120s, [&] {
        state = cluster.front().rabbitmqctl(
            {"eval",
             "{ok, #{state := State}} = rabbit_hot_backup_cluster:status(" + job + "), State."});
        return state.find("running") == std::string::npos;
    });
    INFO(cluster.front().log());
    REQUIRE(state.find("done") != std::string::npos);

    const auto ids = listed(cluster.front().repository());
    REQUIRE(ids.size() == 1);
    for (const auto& node : cluster.nodes()) {
        CHECK(listed(node->repository()) == ids);
        const CliResult verified =
            run_cli({"verify", ids.front(), "--repository", node->repository(), "--json"});
        INFO(verified.output << verified.error_output);
        CHECK(verified.exit_code == 0);
    }
    const json shown =
        run_cli({"show", ids.front(), "--repository", cluster.front().repository(), "--json"})
            .line("summary");
    CHECK(shown.at("parts").size() == 3);
    CHECK(shown.at("stop").at("proof") == "clocks");
    CHECK(shown.at("stop").at("overlap_us") > 0);
}
