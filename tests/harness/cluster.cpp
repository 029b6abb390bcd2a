#include "tests/harness/cluster.hpp"

#include "tests/harness/wait.hpp"

#include <random>

namespace harness {
namespace {

using namespace std::chrono_literals;

std::string common_cookie() {
    std::random_device random;
    return "CLUSTER" + std::to_string(random()) + std::to_string(random());
}

}  // namespace

Cluster::Cluster(std::size_t nodes, BrokerOptions options) : options_(std::move(options)) {
    options_.cookie = common_cookie();
    start(std::vector<NodeImage>(nodes));
    join_all();
}

Cluster::Cluster(std::size_t nodes, const Network& network, BrokerOptions options)
    : options_(std::move(options)) {
    options_.cookie = common_cookie();
    start(std::vector<NodeImage>(nodes), &network);
    join_all();
}

Cluster::Cluster(const std::vector<NodeImage>& images, BrokerOptions options)
    : options_(std::move(options)) {
    options_.cookie = common_cookie();
    options_.epmd = std::make_shared<const Epmd>();
    start(images);
    wait_until_whole();
}

void Cluster::start(const std::vector<NodeImage>& images, const Network* network) {
    auto options = options_;
    options.await = false;
    for (const auto& image : images) {
        options.data = image.base;
        options.node = image.node;
        options.host = network != nullptr ? &network->host(nodes_.size()) : nullptr;
        nodes_.push_back(std::make_unique<Broker>(options));
    }
    for (const auto& node : nodes_) {
        node->await();
    }
}

void Cluster::join_all() const {
    for (std::size_t number = 1; number < nodes_.size(); ++number) {
        join(*nodes_[number]);
    }
    wait_until_whole();
}

void Cluster::join(Broker& node) const {
    node.rabbitmqctl({"stop_app"});
    node.rabbitmqctl({"join_cluster", nodes_.front()->node()});
    node.rabbitmqctl({"start_app"});
}

void Cluster::wait_until_whole() const {
    for (const auto& node : nodes_) {
        wait_for("all nodes of the cluster at " + node->node(), 60s, [&] {
            const auto running = node->eval(
                "length(case erlang:function_exported(rabbit_nodes, list_running, 0) of "
                "true -> rabbit_nodes:list_running(); "
                "false -> rabbit_mnesia:cluster_nodes(running) end).");
            return running.as_unsigned() == nodes_.size();
        });
    }
}

void Cluster::kill9() {
    for (const auto& node : nodes_) {
        node->kill9();
    }
}

}  // namespace harness
