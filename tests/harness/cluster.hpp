// Throw-away RabbitMQ nodes that are one cluster, all on this machine.
#pragma once

#include "tests/harness/broker.hpp"
#include "tests/harness/network.hpp"

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace harness {

// The files of a node that are to be booted.
struct NodeImage {
    std::filesystem::path base;  // holds the data directory and what lies beside it
    std::string node;
};

class Cluster {
public:
    // Starts `nodes` brokers and lets all of them join the first.
    explicit Cluster(std::size_t nodes, BrokerOptions options = {});
    // The same on the first hosts of a network, which outlives the cluster.
    Cluster(std::size_t nodes, const Network& network, BrokerOptions options = {});
    // Boots images of a cluster, all at the same time: each waits for the others. The originals may
    // run beside them.
    Cluster(const std::vector<NodeImage>& images, BrokerOptions options);

    std::size_t size() const noexcept { return nodes_.size(); }
    Broker& at(std::size_t number) { return *nodes_.at(number); }
    const Broker& at(std::size_t number) const { return *nodes_.at(number); }
    const std::string& cookie() const noexcept { return options_.cookie; }

    // Makes the node a member of the first one's cluster.
    void join(Broker& node) const;
    // Waits until every node sees every other one run.
    void wait_until_whole() const;
    // All at once, as by a power cut.
    void kill9();

private:
    void join_all() const;
    void start(const std::vector<NodeImage>& images, const Network* network = nullptr);

    BrokerOptions options_;
    std::vector<std::unique_ptr<Broker>> nodes_;
};

}  // namespace harness
